// Command enqueue enqueues jobs, one JSON object per line of stdin, and prints what became of each.
//
// If a line is no job, nothing is enqueued: one line on stderr names it and its field, and the exit code is 2.
// RRQ_REDIS_DSN and RRQ_KEY_PREFIX are those of rrq.toml; RRQ_ENQUEUE_LUA names the script (see README.md).
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"rrq.example/go/producer"
)

func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func read(lines []byte) ([]producer.Job, error) {
	var jobs []producer.Job
	for index, line := range bytes.Split(lines, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		job, err := producer.ParseJob(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", index+1, err)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func run(jobs []producer.Job) error {
	script, err := os.ReadFile(variable("RRQ_ENQUEUE_LUA", "enqueue.lua"))
	if err != nil {
		return err
	}
	address := variable("RRQ_REDIS_DSN", "redis://127.0.0.1:6379/0")
	connected, err := producer.Connect(address, string(script), variable("RRQ_KEY_PREFIX", "rrq"))
	if err != nil {
		return err
	}
	defer connected.Close()
	replies, err := connected.Enqueue(jobs...)
	for _, reply := range replies {
		fmt.Println(reply.Kind, reply.JobID)
	}
	return err
}

func main() {
	code := 2
	lines, err := io.ReadAll(os.Stdin)
	if err == nil {
		var jobs []producer.Job
		if jobs, err = read(lines); err == nil {
			code, err = 1, run(jobs)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot enqueue:", err)
		os.Exit(code)
	}
}
