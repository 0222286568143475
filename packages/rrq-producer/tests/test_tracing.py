"""The span around an enqueue, on a real Redis."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from rrq_producer import AsyncProducer, DuplicateJob, InvalidJob, Producer, RRQClient
from rrq_protocol import Job, Keyspace, Settings
from rrq_protocol.telemetry import TelemetryUnavailable, active
from support.tracing import Recording, hexadecimal, recording


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Record this test's spans."""
    with recording() as recorded:
        yield recorded


@pytest.fixture
def producer(redis_url: str, keyspace: Keyspace) -> Iterator[Producer]:
    """Serve a blocking producer."""
    with Producer(redis_url, key_prefix=keyspace.prefix) as producer:
        yield producer


@pytest.fixture
async def async_producer(
    redis_url: str, keyspace: Keyspace, anyio_backend: str
) -> AsyncIterator[AsyncProducer]:
    """Serve an async producer."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        yield producer


class Stored:
    """What is stored of jobs."""

    def __init__(self, client: "object", keyspace: Keyspace) -> None:
        self._client, self._keyspace = client, keyspace

    def trace(self, job_id: str) -> dict[str, str] | None:
        text = self._client.hget(self._keyspace.job(job_id), "trace_context")  # type: ignore[attr-defined]
        context: dict[str, str] | None = json.loads(text) if text else None
        return context


@pytest.fixture
def stored(redis_client: object, keyspace: Keyspace) -> Stored:
    """Look at what is stored of jobs."""
    return Stored(redis_client, keyspace)


def test_the_jobs_context_is_the_spans(producer: Producer, recorded: Recording, stored: Stored) -> None:
    """Child of what is current, a producer's span, and what the job carries is the span."""
    with trace.use_span(recorded.provider.get_tracer("web").start_span("request")) as request:
        job = producer.enqueue("pay", {"n": 1}, queue_name="shop")
    span = recorded.one("rrq.enqueue")
    carried = stored.trace(job.id) or {}
    assert list(carried) == ["traceparent"]
    assert carried["traceparent"].startswith(f"00-{hexadecimal(span)}-")
    assert span.parent == request.get_span_context()
    assert span.kind is SpanKind.PRODUCER
    assert span.attributes == {
        "messaging.system": "rrq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
        "messaging.destination.name": "shop",
        "messaging.message.id": job.id,
        "rrq.function": "pay",
        "rrq.outcome": "created",
    }
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_given_context_stays(producer: Producer, recorded: Recording, stored: Stored) -> None:
    """The span is a child of it, and the job carries what the caller gave."""
    given = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "mine": "kept"}
    job = producer.enqueue("pay", trace_context=given)
    assert stored.trace(job.id) == given
    parent = recorded.one("rrq.enqueue").parent
    assert parent is not None
    assert (parent.trace_id, parent.span_id) == (int("a" * 32, 16), int("b" * 16, 16))


def test_many_jobs_have_one_span(producer: Producer, recorded: Recording, stored: Stored) -> None:
    """All of them carry it."""
    jobs = producer.enqueue_many([Job("pay", {"n": number}) for number in range(3)])
    span = recorded.one("rrq.enqueue")
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    for job in jobs:
        assert hexadecimal(span) in (stored.trace(job.id) or {})["traceparent"]


def test_a_failed_enqueue_is_a_failed_span(producer: Producer, recorded: Recording) -> None:
    """The caller gets the error it would get without telemetry, and the span has its type."""
    producer.enqueue("pay", job_id="same", on_conflict="raise")
    with pytest.raises(DuplicateJob):
        producer.enqueue("pay", job_id="same", on_conflict="raise")
    with pytest.raises(InvalidJob):
        producer.enqueue("")
    with pytest.raises(InvalidJob):
        producer.enqueue_job(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidJob):
        producer.enqueue_many([7])  # type: ignore[list-item]
    good, *bad = recorded.spans("rrq.enqueue")
    assert good.status.status_code is StatusCode.UNSET
    assert [span.status.status_code for span in bad] == [StatusCode.ERROR] * 4
    assert [dict(span.attributes or {})["error.type"] for span in bad] == ["DuplicateJob"] + 3 * [
        "InvalidJob"
    ]


def test_a_repeated_id_is_no_other_job(producer: Producer, recorded: Recording) -> None:
    """The context is no part of a job's content: the same job again is found, in another trace."""
    first, again = (producer.enqueue("pay", {"n": 1}, job_id="same") for _ in range(2))
    assert (first.created, again.created) == (True, False)
    _, second = recorded.spans("rrq.enqueue")
    assert dict(second.attributes or {})["rrq.outcome"] == "existing"


def test_a_rate_limit_is_an_outcome(producer: Producer, recorded: Recording) -> None:
    """No job, no error."""
    for _ in range(2):
        producer.enqueue_with_rate_limit("pay", rate_limit_key="k", rate_limit_seconds=60)
    _, second = recorded.spans("rrq.enqueue")
    assert dict(second.attributes or {})["rrq.outcome"] == "rate_limited"


@pytest.mark.anyio
async def test_the_async_producer_traces_too(
    async_producer: AsyncProducer, recorded: Recording, stored: Stored
) -> None:
    """One job, and many; what is current afterwards is what was before."""
    job = await async_producer.enqueue("pay")
    (many,) = await async_producer.enqueue_many([Job("pay")])
    one, batch = recorded.spans("rrq.enqueue")
    assert hexadecimal(one) in (stored.trace(job.id) or {})["traceparent"]
    assert hexadecimal(batch) in (stored.trace(many.id) or {})["traceparent"]
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.anyio
async def test_the_first_lines_call_style_traces_too(
    redis_url: str, keyspace: Keyspace, recorded: Recording, stored: Stored
) -> None:
    """Also where a pending job is rescheduled."""
    async with RRQClient(redis_dsn=redis_url) as client:
        client._producer = AsyncProducer(redis_url, key_prefix=keyspace.prefix)
        for _ in range(2):
            await client.enqueue("pay", _job_id="later", _defer_by=60)
    assert len(recorded.spans("rrq.enqueue")) == 2
    assert "traceparent" in (stored.trace("later") or {})


def test_off_means_off(producer: Producer, stored: Stored) -> None:
    """Without telemetry a job carries nothing."""
    assert active() is None
    assert stored.trace(producer.enqueue("pay").id) is None


def test_the_setting_switches_it_on() -> None:
    """A producer made from settings does what ``telemetry`` says, or says why not."""
    with recording() as recorded:
        Producer.from_settings(Settings(redis_dsn="redis://127.0.0.1:1", telemetry="otel")).close()  # type: ignore[arg-type]
        assert active() is recorded.telemetry
    with pytest.raises(TelemetryUnavailable, match="expected off"):
        Producer.from_settings(Settings(redis_dsn="redis://127.0.0.1:1", telemetry="x"))  # type: ignore[arg-type]
