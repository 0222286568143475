//! A producer that is told what to do: one JSON request per line in, one JSON answer per line out. It mirrors
//! `programs/produce.py`.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use chrono::Utc;
use rrq_producer::{EnqueueOptions, JobResult, Producer};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

fn whole(options: &Map<String, Value>, name: &str) -> Option<i64> {
    options.get(name).and_then(Value::as_i64)
}

fn text(options: &Map<String, Value>, name: &str) -> Option<String> {
    options.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn seconds(options: &Map<String, Value>, name: &str) -> Duration {
    Duration::from_secs_f64(options.get(name).and_then(Value::as_f64).unwrap_or(0.0))
}

fn enqueue_options(options: &Map<String, Value>) -> EnqueueOptions {
    let trace = options.get("trace_context").and_then(Value::as_object).map(|given| {
        let pairs = given.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        pairs.collect::<HashMap<_, _>>()
    });
    let deferred = options.contains_key("defer_by_seconds");
    EnqueueOptions {
        queue_name: text(options, "queue_name"),
        job_id: text(options, "job_id"),
        idempotency_key: text(options, "unique_key"),
        idempotency_ttl_seconds: whole(options, "unique_ttl_seconds"),
        max_retries: whole(options, "max_retries"),
        job_timeout_seconds: whole(options, "job_timeout_seconds"),
        result_ttl_seconds: whole(options, "result_ttl_seconds"),
        scheduled_time: deferred.then(|| Utc::now() + seconds(options, "defer_by_seconds")),
        trace_context: trace,
        ..Default::default()
    }
}

fn told(found: Option<JobResult>) -> Value {
    found.map_or(Value::Null, |job| {
        let status = format!("{:?}", job.status).to_uppercase();
        json!({ "status": status, "result": job.result, "last_error": job.last_error })
    })
}

async fn answer(producer: &Producer, request: &Value) -> Result<Value, Box<dyn Error>> {
    let none = Map::new();
    let options = request["options"].as_object().unwrap_or(&none);
    let params = request["params"].as_object().cloned().unwrap_or_default();
    let name = request["function"].as_str().unwrap_or_default();
    let job_id = request["job_id"].as_str().unwrap_or_default();
    let made = enqueue_options(options);
    Ok(match request["do"].as_str().unwrap_or_default() {
        "enqueue" => json!(producer.enqueue(name, params, made).await?),
        "rate_limit" => {
            let key = text(options, "rate_limit_key").unwrap_or_default();
            let window = seconds(options, "rate_limit_seconds");
            json!(producer.enqueue_with_rate_limit(name, params, &key, window, made).await?)
        }
        "debounce" => {
            let key = text(options, "debounce_key").unwrap_or_default();
            let window = seconds(options, "debounce_seconds");
            json!(producer.enqueue_with_debounce(name, params, &key, window, made).await?)
        }
        "status" => told(producer.get_job_status(job_id).await?),
        "wait" => {
            let limit = Duration::from_secs(30);
            told(producer.wait_for_completion(job_id, limit, Duration::from_millis(250)).await?)
        }
        other => return Err(format!("expected a known request, got {other:?}").into()),
    })
}

#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("INTEROP_REDIS")?;
    let producer = Producer::new(url).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answered = match answer(&producer, &serde_json::from_str(&line)?).await {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answered}");
    }
    Ok(())
}
