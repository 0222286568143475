"""Enqueues traced with ddtrace itself, in a process of its own, on a real Redis."""

from rrq_protocol import Keyspace
from support.tracing import run_program

PROGRAM = """
from rrq_producer import Producer
from rrq_producer.telemetry.ddtrace import enable
import redis

url, prefix = sys.argv[1:]
enable(service="shop")
with Producer(url, key_prefix=prefix) as producer:
    job = producer.enqueue("pay")
with redis.Redis.from_url(url) as client:
    stored = json.loads(client.hget(f"{prefix}:job:{job.id}", "trace_context"))
print(json.dumps([stored, recorded()]))
"""


def test_the_jobs_context_is_the_spans(redis_url: str, keyspace: Keyspace) -> None:
    """In W3C form too, which runners in other languages read."""
    stored, (span,) = run_program("ddtrace", PROGRAM, redis_url, keyspace.prefix)
    assert (span["name"], span["service"], span["tags"]["rrq.function"]) == ("rrq.enqueue", "shop", "pay")
    assert stored["traceparent"].split("-")[1:3] == [span["trace"], span["id"]]
