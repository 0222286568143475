// Command go serves five handlers to an RRQ orchestrator.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"rrq.example/go/runner"
)

func echo(_ context.Context, job runner.Job) (any, error) {
	return job.Params, nil
}

func fail(_ context.Context, job runner.Job) (any, error) {
	params := struct {
		Message string
		Until   *int
	}{Message: "failed on purpose"}
	if err := json.Unmarshal(job.Params, &params); err != nil {
		return nil, err
	}
	if params.Until != nil && job.Attempt >= *params.Until {
		return map[string]int{"attempt": job.Attempt}, nil
	}
	return nil, errors.New(params.Message)
}

func retry(_ context.Context, job runner.Job) (any, error) {
	params := struct {
		Attempts int
		Seconds  float64
	}{Attempts: 2}
	if err := json.Unmarshal(job.Params, &params); err != nil {
		return nil, err
	}
	if job.Attempt < params.Attempts {
		message := fmt.Sprintf("attempt %d of %d", job.Attempt, params.Attempts)
		return nil, runner.RetryJob{Message: message, Seconds: params.Seconds}
	}
	return map[string]int{"attempt": job.Attempt}, nil
}

func sleep(ctx context.Context, job runner.Job) (any, error) {
	var params struct{ Seconds float64 }
	if err := json.Unmarshal(job.Params, &params); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(params.Seconds * float64(time.Second))):
		return map[string]float64{"slept": params.Seconds}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func crash(_ context.Context, job runner.Job) (any, error) {
	params := struct{ Code int }{1}
	if err := json.Unmarshal(job.Params, &params); err != nil {
		return nil, err
	}
	os.Exit(params.Code)
	return nil, nil
}

func main() {
	handlers := map[string]runner.Handler{"echo": echo, "fail": fail, "retry": retry, "sleep": sleep, "crash": crash}
	if err := runner.Serve(handlers); err != nil {
		fmt.Fprintln(os.Stderr, "cannot serve:", err)
		os.Exit(1)
	}
}
