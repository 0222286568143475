"""Giving back what nobody here runs, whatever strangers wrote (F40, F46, F83)."""

from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from rrq_orchestrator.review import Review
from rrq_orchestrator.settle import Settler
from rrq_protocol import Job, JobStatus
from rrq_protocol.transitions import ClaimedJob, ClaimRequest, claim
from support.orchestrating import Bench

pytestmark = pytest.mark.anyio


class Reviewing:
    """A review on a bench, and what it tells."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.told: list[tuple[str, str]] = []
        self._review = Review(
            keyspace=bench.keyspace,
            link=bench.links.make("claim"),
            dispatcher=bench.dispatcher,
            settler=bench.settler,
            clock=bench.clock,
            log=structlog.get_logger(),
        )

    async def run(self) -> list[tuple[str, str]]:
        """Review once; return the events, each with what it is about."""
        with structlog.testing.capture_logs() as logged:
            await self._review.run("o1")
        return [(each["event"], _subject(each)) for each in logged]


def _subject(event: Mapping[str, Any]) -> str:
    subject: str = event.get("job_id") or event.get("key") or event["job_ids"][0]
    return subject


async def claimed(bench: Bench, *names: str) -> tuple[ClaimedJob, ...]:
    """Claim jobs; nobody runs them."""
    await bench.register()
    await bench.enqueue(*(Job("work", job_id=name) for name in names))
    call = claim(bench.keyspace, "o1", [ClaimRequest("default", "python", len(names))], {})
    return (await bench.run(call)).jobs


async def held(bench: Bench) -> list[bytes]:
    found: Any = await bench.client.zrange(bench.keyspace.active("o1"), 0, -1)
    return list(found)


async def test_what_runs_is_left_and_the_rest_given_back(bench: Bench) -> None:
    """One attempt is under way; of another, Redis alone knows."""
    (runs, _) = await claimed(bench, "runs", "lost")
    bench.dispatcher.dispatch([runs], "o1")
    assert await Reviewing(bench).run() == [("claim.given_back", "lost")]
    assert await held(bench) == [b"runs"]
    record = await bench.record("lost")
    assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)


async def test_what_the_public_line_needs_goes_with_it(bench: Bench) -> None:
    """The lock of the claim does not hold up the job that was given back; and one that was cancelled in
    between has its event (I12)."""
    bench.settler = Settler(
        bench.keyspace, bench.link, structlog.get_logger(), job_events=True, compat_job_locks=True
    )
    await bench.register()
    await bench.enqueue(Job("work", job_id="lost"), Job("work", job_id="ended"))
    request = ClaimRequest("default", "python", 2)
    await bench.run(claim(bench.keyspace, "o1", [request], {}, lock_extension_seconds=60))
    await bench.client.hset(bench.keyspace.job("ended"), "cancel_requested_at", "now")
    assert {name for _, name in await Reviewing(bench).run()} == {"lost", "ended"}
    for name in ("lost", "ended"):
        assert await bench.client.exists(bench.keyspace.lock_job(name)) == 0
    assert await bench.client.xlen(bench.keyspace.events("ended")) == 1
    (again,) = (await bench.run(claim(bench.keyspace, "o1", [request], {}))).jobs
    assert again.id == "lost"


async def test_a_key_of_the_wrong_type_is_set_aside(bench: Bench) -> None:
    """In the set by whoever put it there; its neighbour is given back in the same review."""
    await claimed(bench, "lost")
    await bench.client.set(bench.keyspace.job("strange"), "x")
    await bench.client.zadd(bench.keyspace.active("o1"), {"strange": 1})
    key = bench.keyspace.job("strange")
    events = await Reviewing(bench).run()
    assert sorted(events) == [
        ("claim.given_back", "lost"),
        ("claim.set_aside", "strange"),
        ("claim.unusable_key", key),
    ]
    assert await held(bench) == []
    assert await bench.client.lrange(bench.keyspace.quarantine, 0, -1) == [b"strange"]


@pytest.mark.parametrize("spoilt", ["string", "claim_seq", "no claim_seq"])
async def test_a_record_spoilt_under_its_attempt_waits_for_its_end(bench: Bench, spoilt: str) -> None:
    """The attempt learns of it when it ends; told once, however many reviews there are until then."""
    (runs, _) = await claimed(bench, "runs", "lost")
    bench.dispatcher.dispatch([runs], "o1")
    key = bench.keyspace.job("runs")
    if spoilt == "string":
        await bench.client.delete(key)
        await bench.client.set(key, "x")
    elif spoilt == "claim_seq":
        await bench.client.hset(key, "claim_seq", "x")
    else:
        await bench.client.hdel(key, "claim_seq")
    reviewing = Reviewing(bench)
    told = [] if spoilt == "no claim_seq" else [("claim.unusable_key", key)]
    assert sorted(await reviewing.run()) == [("claim.given_back", "lost"), *told]
    assert await reviewing.run() == []
    assert await held(bench) == [b"runs"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("claim_seq", b"x"), ("claim_seq", b"9" * 40), ("claim_seq", None), ("queue_name", b"\xff")],
)
async def test_a_spoilt_record_goes_back_to_be_judged_by_a_claim(
    bench: Bench, field: str, value: bytes | None
) -> None:
    """A claim fails it with the reason, or puts it right: nothing is left in our hands for ever (F83)."""
    await claimed(bench, "spoilt")
    key = bench.keyspace.job("spoilt")
    if value is None:
        await bench.client.hdel(key, field)
    else:
        await bench.client.hset(key, field, value)
    assert ("claim.given_back", "spoilt") in await Reviewing(bench).run()
    assert await held(bench) == []
    assert await bench.client.hget(key, "status") == b"PENDING"
    assert await bench.client.zrange(bench.keyspace.queue("default"), 0, -1) == [b"spoilt"]


async def test_an_active_set_that_is_none_stops_nothing(bench: Bench) -> None:
    """What is under way may end; the next claim is told that it is fenced, and takes a new id."""
    await bench.client.set(bench.keyspace.active("o1"), "x")
    reviewing = Reviewing(bench)
    assert await reviewing.run() == [("claim.unusable_key", bench.keyspace.active("o1"))]
    assert await reviewing.run() == []


async def test_an_id_that_is_no_text_is_told_and_left(bench: Bench) -> None:
    """The reconciler takes out what has no business there; neighbours go back."""
    await claimed(bench, "lost")
    await bench.client.zadd(bench.keyspace.active("o1"), {b"\xff": 1})
    assert sorted(await Reviewing(bench).run()) == [
        ("claim.given_back", "lost"),
        ("claim.unusable_key", bench.keyspace.active("o1")),
    ]


async def test_many_strange_keys_are_told_in_few_words(bench: Bench) -> None:
    """A thousand strings in the active set are ten events, and one for each call that set some aside."""
    names = [f"s{n}" for n in range(1000)]
    await bench.client.zadd(bench.keyspace.active("o1"), dict.fromkeys(names, 1))
    await bench.client.mset({bench.keyspace.job(name): "x" for name in names})
    told = [event for event, _ in await Reviewing(bench).run()]
    assert told.count("claim.unusable_key") == 10
    assert len(told) < 20
    assert await held(bench) == []
