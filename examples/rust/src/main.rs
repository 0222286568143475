//! Five handlers for an RRQ orchestrator, served by the public `rrq-runner` crate. It listens on TCP.

use std::error::Error;
use std::time::Duration;

use rrq_runner::{parse_tcp_socket, run_tcp, ExecutionOutcome, ExecutionRequest, Registry};
use serde_json::{json, Value};

fn number(request: &ExecutionRequest, name: &str, otherwise: f64) -> f64 {
    request.params.get(name).and_then(Value::as_f64).unwrap_or(otherwise)
}

fn success(request: &ExecutionRequest, result: Value) -> ExecutionOutcome {
    ExecutionOutcome::success(request.job_id.clone(), request.request_id.clone(), result)
}

/// The address behind `--tcp-socket`, or the one an orchestrator sets.
fn address() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|each| each == "--tcp-socket") {
        Some(at) => Ok(arguments.get(at + 1).ok_or("--tcp-socket: expected host:port")?.clone()),
        None => Ok(std::env::var("RRQ_RUNNER_TCP_SOCKET")?),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::new();

    registry.register("echo", |request| async move {
        let params = json!(request.params);
        success(&request, params)
    });

    registry.register("fail", |request| async move {
        let attempt = request.context.attempt;
        if f64::from(attempt) >= number(&request, "until", f64::INFINITY) {
            return success(&request, json!({ "attempt": attempt }));
        }
        let message = request.params.get("message").and_then(Value::as_str);
        let message = message.unwrap_or("failed on purpose").to_string();
        ExecutionOutcome::error(request.job_id, request.request_id, message)
    });

    registry.register("retry", |request| async move {
        let attempt = request.context.attempt;
        if f64::from(attempt) >= number(&request, "attempts", 2.0) {
            return success(&request, json!({ "attempt": attempt }));
        }
        let seconds = number(&request, "seconds", 0.0);
        let message = format!("attempt {attempt} is too early");
        ExecutionOutcome::retry(request.job_id, request.request_id, message, Some(seconds))
    });

    registry.register("sleep", |request| async move {
        let seconds = number(&request, "seconds", 0.0);
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let slept = request.params.get("seconds").cloned().unwrap_or(json!(0));
        success(&request, json!({ "slept": slept }))
    });

    registry.register("crash", |request| async move {
        std::process::exit(number(&request, "code", 1.0) as i32);
    });

    run_tcp(&registry, parse_tcp_socket(&address()?)?)
}
