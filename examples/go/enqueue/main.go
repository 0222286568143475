// Command enqueue enqueues jobs, one JSON object per line of stdin, and prints what became of each.
//
// RRQ_REDIS_DSN and RRQ_KEY_PREFIX are those of rrq.toml; RRQ_ENQUEUE_LUA names the script (see README.md).
package main

import (
	"encoding/json"
	"errors"
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

func run() error {
	script, err := os.ReadFile(variable("RRQ_ENQUEUE_LUA", "enqueue.lua"))
	if err != nil {
		return err
	}
	var jobs []producer.Job
	for lines := json.NewDecoder(os.Stdin); ; {
		var job producer.Job
		if err := lines.Decode(&job); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		jobs = append(jobs, job)
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
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot enqueue:", err)
		os.Exit(1)
	}
}
