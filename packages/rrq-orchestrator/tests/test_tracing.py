"""The span of an attempt, as a dispatcher makes it."""

import json
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
import redis.asyncio
from opentelemetry.trace import StatusCode
from structlog.testing import CapturingLogger

from rrq_orchestrator.correlation import correlating
from rrq_orchestrator.tracing import AttemptTracing
from rrq_protocol import Job, Keyspace
from rrq_protocol.transitions import ClaimRequest, claim
from support.orchestrating import Bench, failed, succeeded
from support.tracing import Recording, hexadecimal, recording

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Record this test's spans."""
    with recording() as recorded:
        yield recorded


@pytest.fixture
async def bench(
    redis_url: str, keyspace: Keyspace, aredis: redis.asyncio.Redis, recorded: Recording
) -> AsyncIterator[Bench]:
    """Serve a dispatcher that traces, with a registered orchestrator."""
    bench = Bench(redis_url, keyspace, aredis)
    bench.dispatcher._tracing = AttemptTracing.if_enabled()
    await bench.register()
    yield bench
    await bench.aclose()


async def dispatch(bench: Bench, now_ms: int | None = None) -> None:
    """Claim what is due and hand it to the dispatcher."""
    call = claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 10)], {"python": 10}, now_ms=now_ms)
    bench.dispatcher.dispatch((await bench.run(call)).jobs, "o1")


async def test_the_runner_gets_the_attempts_context(bench: Bench, recorded: Recording) -> None:
    """In place of the job's, of which only what is no propagation header stays."""
    given = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-datadog-trace-id": "7", "mine": "kept"}
    await bench.enqueue(Job("work", trace_context=given))
    await dispatch(bench)
    (request,) = await bench.runner.requests(1)
    bench.runner.answer(succeeded(request))
    span = recorded.one("rrq.job")
    sent = json.loads(bytes(request.context.trace_context))
    assert sent["traceparent"].startswith(f"00-{hexadecimal(span)}-")
    assert sent.keys() == {"traceparent", "mine"}
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int("a" * 32, 16), int("b" * 16, 16))
    assert dict(span.attributes or {})["rrq.outcome"] == "complete"
    await bench.settled()


async def test_a_retry_links_to_the_attempt_before(bench: Bench, recorded: Recording) -> None:
    """Through the job's log of attempts, so that another orchestrator finds it too."""
    (job_id,) = await bench.enqueue(Job("work"))
    await dispatch(bench)
    bench.runner.answer(failed((await bench.runner.requests(1))[0]))
    await bench.settled()
    first = recorded.one("rrq.job")
    (entry,) = (await bench.record(job_id)).attempts
    assert hexadecimal(first) in (entry.trace or "")
    await dispatch(bench)
    bench.runner.answer(succeeded((await bench.runner.requests(1))[0]))
    await bench.settled()
    _, second = recorded.spans("rrq.job")
    (link,) = second.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == hexadecimal(first)
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "ValueError: boom"


@pytest.mark.parametrize(
    ("kind", "status"), [(None, StatusCode.UNSET), ("ValueError", StatusCode.ERROR)], ids=["asked", "error"]
)
async def test_a_retry_that_was_asked_for_is_no_error(
    bench: Bench, recorded: Recording, kind: str | None, status: StatusCode
) -> None:
    """A handler that says "later" has not failed."""
    await bench.enqueue(Job("work"))
    await dispatch(bench)
    bench.runner.answer(failed((await bench.runner.requests(1))[0], kind=kind))
    span = recorded.one("rrq.job")
    assert (span.status.status_code, dict(span.attributes or {})["rrq.outcome"]) == (status, "retry")
    await bench.settled()


async def test_every_end_ends_the_span(bench: Bench, recorded: Recording) -> None:
    """A crash, an attempt that is given back, and one that no runner takes."""
    await bench.enqueue(Job("work"))
    await dispatch(bench)
    await bench.runner.requests(1)
    bench.runner.crash()
    await bench.enqueue(Job("nobody#work"))
    await dispatch(bench)
    await bench.enqueue(Job("work"))
    await dispatch(bench)
    bench.dispatcher.forget_all()
    await bench.settled()
    ends = [dict(span.attributes or {})["rrq.outcome"] for span in recorded.spans("rrq.job")]
    assert ends[0] == "crash"
    assert "release" in ends


async def test_mapped_values_reach_runner_span_and_log(bench: Bench, recorded: Recording) -> None:
    """``correlation_mappings``: the request's correlation context, the span's attributes, the event."""
    import structlog

    capturing = CapturingLogger()
    bench.dispatcher._log = structlog.wrap_logger(
        capturing, processors=[], wrapper_class=structlog.make_filtering_bound_logger(20)
    )
    bench.dispatcher._correlate = correlating({"order": "order.id"})
    await bench.enqueue(Job("work", {"order": {"id": 7}}))
    await dispatch(bench)
    (request,) = await bench.runner.requests(1)
    bench.runner.answer(failed(request))
    assert request.context.correlation_context == {"order": "7"}
    assert dict(recorded.one("rrq.job").attributes or {})["order"] == "7"
    (event,) = (call for call in capturing.calls if call.kwargs.get("event") == "job.retried")
    assert event.kwargs["correlation"] == {"order": "7"}
    await bench.settled()


async def test_off_nothing_is_added(redis_url: str, keyspace: Keyspace, aredis: redis.asyncio.Redis) -> None:
    """Without telemetry the job's own context goes on as it came, and the log of attempts names no trace."""
    assert AttemptTracing.if_enabled() is None
    bench = Bench(redis_url, keyspace, aredis)
    await bench.register()
    (job_id,) = await bench.enqueue(Job("work", trace_context={"mine": "kept"}))
    await dispatch(bench)
    (request,) = await bench.runner.requests(1)
    assert msgspec.json.decode(request.context.trace_context) == {"mine": "kept"}
    bench.runner.answer(failed(request))
    await bench.settled()
    assert (await bench.record(job_id)).attempts[0].trace is None
    await bench.aclose()
