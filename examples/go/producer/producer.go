// Package producer enqueues RRQ jobs: RRQ's own Lua script, sent over a socket, in Go's standard library.
package producer

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const perCall = 200

var (
	queueForm    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	functionForm = regexp.MustCompile(`^[^\s#]+(#[^\s#]+)?$`)
)

// Job is what to enqueue. Zero values mean RRQ's defaults.
type Job struct {
	FunctionName     string            `json:"function_name"` // "handler" or "runner#handler"
	Params           json.RawMessage   `json:"params"`        // a JSON object
	QueueName        string            `json:"queue_name"`
	JobID            string            `json:"job_id"`
	MaxRetries       int               `json:"max_retries"`
	TimeoutSeconds   float64           `json:"job_timeout_seconds"`
	ResultTTLSeconds float64           `json:"result_ttl_seconds"`
	DeferSeconds     float64           `json:"defer_seconds"`
	UniqueKey        string            `json:"unique_key"`
	UniqueTTLSeconds int               `json:"unique_ttl_seconds"`
	TraceContext     map[string]string `json:"trace_context"`
}

// Reply is what became of a job: "created", or why not (see the header of enqueue.lua).
type Reply struct{ Kind, JobID string }

// Producer holds one connection. It is for one goroutine at a time.
type Producer struct {
	stream         net.Conn
	reader         *bufio.Reader
	script, prefix string
	sha            string
}

// Connect connects to a redis:// address. The script is the text of enqueue.lua, includes in place.
func Connect(address, script, prefix string) (*Producer, error) {
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "redis" {
		return nil, fmt.Errorf("expected an address such as redis://127.0.0.1:6379/0")
	}
	host := target.Host
	if target.Port() == "" {
		host = net.JoinHostPort(target.Hostname(), "6379")
	}
	stream, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(script))
	p := &Producer{stream, bufio.NewReader(stream), script, prefix, hex.EncodeToString(sum[:])}
	if password, given := target.User.Password(); given {
		words := []string{"AUTH", password}
		if name := target.User.Username(); name != "" {
			words = []string{"AUTH", name, password}
		}
		if _, err = p.call(words...); err != nil {
			return nil, err
		}
	}
	if database := strings.Trim(target.Path, "/"); database != "" {
		if _, err = p.call("SELECT", database); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close closes the connection.
func (p *Producer) Close() error { return p.stream.Close() }

// Enqueue enqueues all of these jobs, or fails before the first one is written if one of them is wrong.
func (p *Producer) Enqueue(jobs ...Job) ([]Reply, error) {
	records := make([][]string, len(jobs))
	for index, job := range jobs {
		record, err := job.record()
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", index, err)
		}
		records[index] = record
	}
	var replies []Reply
	for start := 0; start < len(records); start += perCall {
		words := []string{"1", p.prefix + ":queues", p.prefix, ""}
		end := start + perCall
		if end > len(records) {
			end = len(records)
		}
		for _, record := range records[start:end] {
			words = append(words, record...)
		}
		flat, err := p.run(words)
		if err != nil {
			return replies, err
		}
		for at := 0; at+1 < len(flat); at += 2 {
			replies = append(replies, Reply{flat[at], flat[at+1]})
		}
	}
	return replies, nil
}

// record returns the arguments of one job, in the order that the header of enqueue.lua gives.
func (job Job) record() ([]string, error) {
	if job.QueueName == "" {
		job.QueueName = "default"
	}
	if !queueForm.MatchString(job.QueueName) || !functionForm.MatchString(job.FunctionName) {
		return nil, fmt.Errorf("queue %q, function %q: one of them is no name", job.QueueName, job.FunctionName)
	}
	if len(job.Params) == 0 {
		job.Params = json.RawMessage("{}")
	}
	if job.Params[0] != '{' || !json.Valid(job.Params) {
		return nil, errors.New("params: expected a JSON object")
	}
	if job.JobID == "" {
		job.JobID = newID()
	}
	due, trace := "", ""
	if job.DeferSeconds > 0 {
		due = "+" + number(job.DeferSeconds*1000)
	}
	if len(job.TraceContext) > 0 {
		text, err := json.Marshal(job.TraceContext)
		if err != nil {
			return nil, err
		}
		trace = string(text)
	}
	// Tells a repeat of this job from another job of the same id.
	digest := sha256.Sum256([]byte(job.FunctionName + "\x00" + job.QueueName + "\x00" + string(job.Params)))
	return []string{
		job.JobID, job.FunctionName, string(job.Params), job.QueueName,
		number(or(float64(job.MaxRetries), 5)), number(or(job.TimeoutSeconds, 300)), number(or(job.ResultTTLSeconds, 86400)),
		hex.EncodeToString(digest[:12]), due,
		job.UniqueKey, number(or(float64(job.UniqueTTLSeconds), 21600) * 1000),
		"", "", "0", // guard: rate limit, debounce, reschedule
		trace, "",
	}, nil
}

func or(value, otherwise float64) float64 {
	if value == 0 {
		return otherwise
	}
	return value
}

func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

func newID() string {
	var data [16]byte
	_, _ = rand.Read(data[:])
	return hex.EncodeToString(data[:])
}

func (p *Producer) run(words []string) ([]string, error) {
	flat, err := p.call(append([]string{"EVALSHA", p.sha}, words...)...)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		return p.call(append([]string{"EVAL", p.script}, words...)...)
	}
	return flat, err
}

// ---- RESP: a command out, its reply in

func (p *Producer) call(words ...string) ([]string, error) {
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(p.stream, command.String()); err != nil {
		return nil, err
	}
	return p.reply()
}

// reply returns the texts of a reply; a single one is a list of one.
func (p *Producer) reply() ([]string, error) {
	line, err := p.reader.ReadString('\n')
	if err != nil || len(line) < 3 {
		return nil, fmt.Errorf("no reply from Redis: %w", err)
	}
	text := strings.TrimRight(line[1:], "\r\n")
	switch line[0] {
	case '+', ':':
		return []string{text}, nil
	case '-':
		return nil, errors.New(text)
	case '$':
		size, err := strconv.Atoi(text)
		if err != nil || size < 0 {
			return []string{""}, err
		}
		data := make([]byte, size+2)
		_, err = io.ReadFull(p.reader, data)
		return []string{string(data[:size])}, err
	case '*':
		count, err := strconv.Atoi(text)
		var all []string
		for ; err == nil && count > 0; count-- {
			var part []string
			part, err = p.reply()
			all = append(all, part...)
		}
		return all, err
	}
	return nil, fmt.Errorf("Redis sent %q, which is no reply", line)
}
