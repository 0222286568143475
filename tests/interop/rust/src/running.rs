//! The handlers of the tests, on the public `rrq-runner`. They mirror `programs/handlers.py`.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use rrq_runner::{ExecutionOutcome, ExecutionRequest, Registry, RunnerRuntime, parse_tcp_socket};
use serde_json::{Value, json};

fn number(request: &ExecutionRequest, name: &str) -> f64 {
    request.params.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// Write that an attempt started, in one write to a file opened for appending.
fn witness(request: &ExecutionRequest) {
    let path = std::env::var("INTEROP_WITNESS").expect("INTEROP_WITNESS names a file");
    let line = format!("{} {} rust\n", request.job_id, request.context.attempt);
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    file.write_all(line.as_bytes()).expect("a line");
}

fn succeeded(request: &ExecutionRequest, result: Value) -> ExecutionOutcome {
    ExecutionOutcome::success(&request.job_id, &request.request_id, result)
}

fn failed(request: &ExecutionRequest, message: &str) -> ExecutionOutcome {
    ExecutionOutcome::error(&request.job_id, &request.request_id, message)
}

fn handlers() -> Registry {
    let mut registry = Registry::new();
    registry.register("echo", |request| async move {
        witness(&request);
        let context = &request.context;
        let told = json!({
            "params": request.params, "attempt": context.attempt, "queue": context.queue_name,
            "trace": context.trace_context, "ran": "rust",
        });
        succeeded(&request, told)
    });
    registry.register("flaky", |request| async move {
        witness(&request);
        if f64::from(request.context.attempt) < number(&request, "succeeds_on") {
            return failed(&request, &format!("attempt {} fails", request.context.attempt));
        }
        succeeded(&request, json!(request.context.attempt))
    });
    registry.register("patient", |request| async move {
        witness(&request);
        if request.context.attempt == 1 {
            let seconds = Some(number(&request, "seconds"));
            return ExecutionOutcome::retry(&request.job_id, &request.request_id, "not yet", seconds);
        }
        succeeded(&request, json!(request.context.attempt))
    });
    registry.register("endless", |request| async move {
        witness(&request);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        succeeded(&request, Value::Null)
    });
    registry.register("nap", |request| async move {
        witness(&request);
        tokio::time::sleep(Duration::from_secs_f64(number(&request, "seconds"))).await;
        succeeded(&request, Value::Null)
    });
    registry
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().position(|each| each == "--tcp-socket");
    let address = given.and_then(|at| arguments.get(at + 1)).ok_or("expected --tcp-socket host:port")?;
    RunnerRuntime::new()?.run_tcp(&handlers(), parse_tcp_socket(address)?)
}
