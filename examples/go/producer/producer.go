// Package producer enqueues RRQ jobs: RRQ's own Lua script, sent over a socket, in Go's standard library.
package producer

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

const perCall = 200

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
