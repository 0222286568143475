// Package runner serves job handlers to an RRQ orchestrator. It is docs/protocol.md in Go's standard library.
package runner

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	limit      = 16 << 20
	version    = "2"
	grace      = 4 * time.Second
	errorBytes = 64 << 10
	nonceBytes = 32
	proofTime  = time.Second
)

// Handler executes one job. The context ends when the job is cancelled; the job is answered when the handler returns.
type Handler func(ctx context.Context, job Job) (result any, err error)

// Job is what a handler is given.
type Job struct {
	ID      string
	Attempt int
	Queue   string
	Params  json.RawMessage // a JSON object
}

// RetryJob is the error of a handler that wants to be called again.
type RetryJob struct {
	Message string
	Seconds float64
}

func (retry RetryJob) Error() string { return retry.Message }

// ---- messages

type envelope struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

type request struct {
	ProtocolVersion *string         `json:"protocol_version"`
	RequestID       string          `json:"request_id"`
	JobID           string          `json:"job_id"`
	FunctionName    string          `json:"function_name"`
	Params          json.RawMessage `json:"params"`
	Context         *requestContext `json:"context"`
}

type requestContext struct {
	Attempt   int    `json:"attempt"`
	QueueName string `json:"queue_name"`
}

type cancelRequest struct {
	ProtocolVersion *string `json:"protocol_version"`
	RequestID       *string `json:"request_id"`
	JobID           string  `json:"job_id"`
}

type ids struct {
	RequestID any `json:"request_id"`
	JobID     any `json:"job_id"`
}

type outcome struct {
	JobID      any         `json:"job_id,omitempty"`
	RequestID  any         `json:"request_id,omitempty"`
	Status     string      `json:"status"`
	Result     any         `json:"result,omitempty"`
	Error      *errorField `json:"error,omitempty"`
	RetryAfter *float64    `json:"retry_after_seconds,omitempty"`
}

type errorField struct {
	Message string `json:"message"`
	Type    string `json:"type,omitempty"`
}

func failure(kind, message string) outcome {
	if len(message) > errorBytes {
		message = strings.ToValidUTF8(message[:errorBytes], "")
	}
	return outcome{Status: "error", Error: &errorField{Message: message, Type: kind}}
}

// ---- framing

type framing interface {
	read(*bufio.Reader) ([]byte, error)
	frame([]byte) []byte
}

type frames struct{}

func (frames) read(reader *bufio.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size == 0 || size > limit {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(reader, body)
	return body, err
}

func (frames) frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

type lines struct{}

func (lines) read(reader *bufio.Reader) ([]byte, error) {
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(line)) != "" {
			return line, nil
		}
	}
}

func (lines) frame(body []byte) []byte { return append(body, '\n') }

// ---- one connection

type connection struct {
	server  *server
	framing framing
	stream  io.ReadWriteCloser
	writing sync.Mutex
	mutex   sync.Mutex
	open    map[string]openRequest
}

type openRequest struct {
	jobID  string
	cancel context.CancelFunc
}

func (c *connection) serve() {
	if c.server.offered["hello"] {
		names := make([]string, 0, len(c.server.handlers))
		for name := range c.server.handlers {
			names = append(names, name)
		}
		c.send("hello", map[string]any{"runtime": "go-example", "version": runtime.Version(), "handlers": names})
	}
	reader := bufio.NewReaderSize(c.stream, 64<<10)
	for {
		body, err := c.framing.read(reader)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				fmt.Fprintln(os.Stderr, "closing a connection:", err)
			}
			return
		}
		c.message(body)
	}
}

func (c *connection) message(body []byte) {
	var message envelope
	if !utf8.Valid(body) || json.Unmarshal(body, &message) != nil {
		c.respond(outcome{}, failure("bad_message", "not a JSON object with type and payload"))
		return
	}
	switch message.Type {
	case "request":
		c.request(message.Payload)
	case "cancel":
		c.cancel(message.Payload)
	case "response":
	default:
		c.refuse(message.Payload, "bad_message", "expected a message of type request or cancel")
	}
}

// refuse answers what cannot be executed, unless another request of that id waits for its own answer.
func (c *connection) refuse(payload json.RawMessage, kind, message string) {
	var named ids
	_ = json.Unmarshal(payload, &named)
	if id, isText := named.RequestID.(string); isText {
		c.mutex.Lock()
		_, open := c.open[id]
		c.mutex.Unlock()
		if open {
			return
		}
	}
	c.respond(outcome{RequestID: named.RequestID, JobID: named.JobID}, failure(kind, message))
}

func (c *connection) request(payload json.RawMessage) {
	var asked request
	if err := json.Unmarshal(payload, &asked); err != nil {
		c.refuse(payload, "bad_message", err.Error())
		return
	}
	if asked.ProtocolVersion != nil && *asked.ProtocolVersion != version {
		c.refuse(payload, "unsupported_version", "this runner speaks "+version)
		return
	}
	if asked.RequestID == "" || asked.Context == nil || len(asked.Params) == 0 || asked.Params[0] != '{' {
		c.refuse(payload, "bad_message", "expected request_id, params and context")
		return
	}
	if c.server.draining() {
		c.refuse(payload, "busy", "the runner is stopping")
		return
	}
	ctx, cancel := context.WithCancel(c.server.context)
	c.mutex.Lock()
	_, open := c.open[asked.RequestID]
	if !open {
		c.open[asked.RequestID] = openRequest{asked.JobID, cancel}
		c.server.running.Add(1)
	}
	c.mutex.Unlock()
	if open {
		cancel()
		return
	}
	go func() {
		defer c.server.running.Done()
		defer cancel()
		result := c.execute(ctx, asked)
		c.mutex.Lock()
		delete(c.open, asked.RequestID)
		c.mutex.Unlock()
		c.respond(outcome{RequestID: asked.RequestID, JobID: asked.JobID}, result)
	}()
}

func (c *connection) cancel(payload json.RawMessage) {
	var asked cancelRequest
	if json.Unmarshal(payload, &asked) != nil || asked.ProtocolVersion != nil && *asked.ProtocolVersion != version {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for id, each := range c.open {
		if each.jobID == asked.JobID && (asked.RequestID == nil || *asked.RequestID == id) {
			each.cancel()
		}
	}
}

func (c *connection) execute(ctx context.Context, asked request) (done outcome) {
	handler, known := c.server.handlers[asked.FunctionName]
	if !known {
		return failure("handler_not_found", fmt.Sprintf("no handler named %q", asked.FunctionName))
	}
	defer func() {
		if problem := recover(); problem != nil {
			done = failure("panic", fmt.Sprint(problem))
		}
	}()
	job := Job{asked.JobID, asked.Context.Attempt, asked.Context.QueueName, asked.Params}
	result, err := handler(ctx, job)
	var retry RetryJob
	switch {
	case err == nil:
		return outcome{Status: "success", Result: result}
	case ctx.Err() != nil:
		return failure("cancelled", "the job was cancelled")
	case errors.As(err, &retry):
		return outcome{Status: "retry", Error: &errorField{Message: retry.Message}, RetryAfter: &retry.Seconds}
	default:
		return failure(fmt.Sprintf("%T", err), err.Error())
	}
}

func (c *connection) respond(named, done outcome) {
	done.RequestID, done.JobID = named.RequestID, named.JobID
	if err := c.send("response", done); err != nil {
		kind := "result_not_serialisable"
		if errors.Is(err, errTooLarge) {
			kind = "result_too_large"
		}
		done = failure(kind, err.Error())
		done.RequestID, done.JobID = named.RequestID, named.JobID
		_ = c.send("response", done)
	}
}

var errTooLarge = errors.New("the response is larger than 16 MiB")

func (c *connection) send(kind string, payload any) error {
	body, err := json.Marshal(map[string]any{"type": kind, "payload": payload})
	if err != nil {
		return err
	}
	if len(body) > limit {
		return errTooLarge
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = c.stream.Write(c.framing.frame(body)) // whoever is gone needs no answer
	return nil
}

func (c *connection) end() {
	c.stream.Close()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, each := range c.open {
		each.cancel() // nobody waits any more
	}
}

// ---- listening, and ending

type server struct {
	handlers map[string]Handler
	offered  map[string]bool
	nonce    []byte // nil where nobody has to show who it is
	context  context.Context
	stop     context.CancelFunc // ends all handlers
	running  sync.WaitGroup
	mutex    sync.Mutex
	stopping bool
}

func (s *server) draining() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.stopping
}

type stdio struct{}

func (stdio) Read(data []byte) (int, error)  { return os.Stdin.Read(data) }
func (stdio) Write(data []byte) (int, error) { return messages.Write(data) }
func (stdio) Close() error                   { return nil }

// Stdout carries messages with stdio; what handlers print goes to stderr then.
var messages = os.Stdout

// Serve runs the program: it listens where the arguments or the environment say, and returns when it has ended.
func Serve(handlers map[string]Handler) error {
	s := &server{handlers: handlers, offered: map[string]bool{}}
	s.context, s.stop = context.WithCancel(context.Background())
	for _, each := range strings.Split(os.Getenv("RRQ_RUNNER_EXTENSIONS"), ",") {
		s.offered[strings.TrimSpace(each)] = true
	}
	endWithParent()
	network, address, err := where(os.Args[1:])
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	var listener net.Listener
	if network == "stdio" {
		os.Stdout = os.Stderr
		go func() { s.connect(stdio{}, lines{}, false); ended <- nil }()
	} else {
		syscall.Umask(0o077) // the socket is for this user
		if network == "tcp" {
			if s.nonce, err = takeNonce(); err != nil {
				return err
			}
		}
		if listener, err = net.Listen(network, address); err != nil {
			return err
		}
		fmt.Println("listening")
		go func() { ended <- s.accept(listener) }()
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err = <-ended:
	case <-signals:
		err = nil
	}
	s.mutex.Lock()
	s.stopping = true
	s.mutex.Unlock()
	if listener != nil {
		listener.Close()
	}
	s.drain(signals)
	return err
}

func (s *server) accept(listener net.Listener) error {
	for {
		stream, err := listener.Accept()
		if err != nil {
			if s.draining() {
				return nil
			}
			return err
		}
		go func() {
			if s.admit(stream) {
				s.connect(stream, frames{}, true)
			} else {
				stream.Close()
			}
		}()
	}
}

func (s *server) connect(stream io.ReadWriteCloser, framing framing, cancels bool) {
	c := &connection{server: s, framing: framing, stream: stream, open: map[string]openRequest{}}
	c.serve()
	if cancels {
		c.end()
	}
}

// drain waits for open requests, ends them after the grace, and at once at a second signal.
func (s *server) drain(signals chan os.Signal) {
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-signals:
	case <-time.After(grace):
	}
	s.stop()
	select {
	case <-done:
	case <-time.After(500 * time.Millisecond):
	}
}

func where(arguments []string) (network, address string, err error) {
	for at, word := range arguments {
		if word == "--stdio" {
			return "stdio", "", nil
		}
		if at+1 < len(arguments) && word == "--unix-socket" {
			return "unix", arguments[at+1], nil
		}
		if at+1 < len(arguments) && word == "--tcp-socket" {
			return loopback(arguments[at+1])
		}
	}
	if path := os.Getenv("RRQ_RUNNER_SOCKET"); path != "" {
		return "unix", path, nil
	}
	if text := os.Getenv("RRQ_RUNNER_TCP_SOCKET"); text != "" {
		return loopback(text)
	}
	return "", "", errors.New("no address: give --unix-socket PATH, --tcp-socket HOST:PORT or --stdio")
}

func loopback(text string) (string, string, error) {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return "", "", err
	}
	if address := net.ParseIP(host); host != "localhost" && (address == nil || !address.IsLoopback()) {
		return "", "", fmt.Errorf("%s: expected a loopback address", host)
	}
	return "tcp", text, nil
}

// takeNonce returns what shows, on a TCP port, that the orchestrator of this process connects; nil without one.
func takeNonce() ([]byte, error) {
	number, err := strconv.Atoi(os.Getenv("RRQ_RUNNER_NONCE_FD"))
	os.Unsetenv("RRQ_RUNNER_NONCE_FD")
	if err != nil {
		return nil, nil
	}
	file := os.NewFile(uintptr(number), "nonce")
	defer file.Close()
	nonce := make([]byte, nonceBytes)
	if _, err := io.ReadFull(file, nonce); err != nil {
		return nil, fmt.Errorf("RRQ_RUNNER_NONCE_FD: %w", err)
	}
	_, err = file.Write([]byte{1})
	return nonce, err
}

// admit says whether who connects has shown to know the nonce, and shows that we do. Nothing is parsed before.
func (s *server) admit(stream net.Conn) bool {
	if s.nonce == nil {
		return true
	}
	_ = stream.SetDeadline(time.Now().Add(proofTime))
	shown := make([]byte, sha256.Size)
	if _, err := io.ReadFull(stream, shown); err != nil || !hmac.Equal(shown, s.proof("orchestrator")) {
		return false
	}
	_, err := stream.Write(s.proof("runner"))
	return err == nil && stream.SetDeadline(time.Time{}) == nil
}

func (s *server) proof(end string) []byte {
	mac := hmac.New(sha256.New, s.nonce)
	mac.Write([]byte("rrq " + end))
	return mac.Sum(nil)
}

// endWithParent watches the pipe whose other end the orchestrator holds: its end of file says that it is gone.
func endWithParent() {
	number, err := strconv.Atoi(os.Getenv("RRQ_RUNNER_CONTROL_FD"))
	os.Unsetenv("RRQ_RUNNER_CONTROL_FD")
	os.Unsetenv("RRQ_RUNNER_EXTENSIONS")
	if err != nil {
		return
	}
	syscall.CloseOnExec(number)
	pipe := os.NewFile(uintptr(number), "control")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(0)
	}()
}
