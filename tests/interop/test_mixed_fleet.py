"""Orchestrators of both lines on one queue (RELIABILITY.md F97, G25). Ours has no setting for it."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from rrq_protocol import Job, JobStatus
from support.interop.peers import Peers
from support.interop.site import Running, Site
from support.redis_servers import RedisServer
from support.waiting import eventually

COUNT = int(os.environ.get("RRQ_TEST_COUNT") or 1000)
HANDLERS = {
    "plain": ("echo", {}),
    "second": ("flaky", {"succeeds_on": 2}),
    "never": ("flaky", {"succeeds_on": 9}),
}
# What becomes of them: the status, and how often each is started.
ENDS = {"plain": ("COMPLETED", 1), "second": ("COMPLETED", 2), "never": ("FAILED", 2)}
# For tests in which nobody dies: no pause of a busy machine is taken for a death.
PATIENT = {"worker_health_check_ttl_buffer_seconds": 60.0, "lease_seconds": 60.0}
ENDED = {status.value for status in JobStatus if status.is_terminal}


@pytest.fixture
def site(redis_server: RedisServer, peers: Peers) -> Iterator[Site]:
    """Serve an empty Redis to each test."""
    with Site(redis_server.url, peers) as site:
        yield site


def enqueue(site: Site, rng: random.Random, count: int) -> dict[str, str]:
    """Enqueue so many jobs, half by each line's producer; return their ids, and which kind each is."""
    kinds = {f"j{n}": rng.choices(list(HANDLERS), (8, 1, 1))[0] for n in range(count)}
    ids = list(kinds)
    jobs = [
        Job(*HANDLERS[kinds[each]], job_id=each, max_retries=2, defer_by=rng.choice((None, 0.5)))
        for each in ids[::2]
    ]
    site.producer.enqueue_many(jobs)
    with site.stranger("wheel") as stranger:
        for each in ids[1::2]:
            stranger.enqueue(*HANDLERS[kinds[each]], job_id=each, max_retries=2)
    return kinds


def all_ended(site: Site, ids: list[str]) -> None:
    """Wait until no job waits or runs, and no key says otherwise."""
    eventually(
        lambda: set(site.fields(ids, "status")) <= ENDED,
        f"{len(ids)} jobs to end",
        within_s=60 + len(ids) / 50,
    )
    eventually(lambda: not site.left(), "no key to be left")


@pytest.mark.slow
def test_no_job_is_lost_or_run_twice(site: Site, rng: random.Random) -> None:
    """Jobs of both producers through both orchestrators: each ends as it must, after as many attempts as it
    must, in the dead letter queue once or never; both have done their part. Slow: a thousand jobs, or
    RRQ_TEST_COUNT.
    """
    with (
        site.running("ours", "ours", **PATIENT) as ours,
        site.running("public", "wheel", **PATIENT) as public,
    ):
        eventually(lambda: "runner.started" in ours.log.read_text(), "our runner to be ready")
        eventually(lambda: "worker started" in public.log.read_text(), "their runner to be ready")
        kinds = enqueue(site, rng, COUNT)
        ids = list(kinds)
        all_ended(site, ids)
    assert dict(zip(ids, site.fields(ids, "status"), strict=True)) == {
        each: ENDS[kinds[each]][0] for each in ids
    }
    assert site.executions() == Counter({each: ENDS[kinds[each]][1] for each in ids})
    assert sorted(site.dead()) == sorted(each for each in ids if kinds[each] == "never")
    # Only theirs leaves the number of the claim away, so a job it alone had has none.
    parts = Counter("public" if seq is None else "ours" for seq in site.fields(ids, "claim_seq"))
    print(f"{COUNT} jobs: {dict(parts)}")
    assert set(parts) == {"public", "ours"}
    findings = site.ours("doctor", "--errors-only")["findings"]
    assert [each for each in findings if each["level"] != "warning"] == []


def held(site: Site, line: str, kind: str, count: int = 8) -> tuple[Running, list[str]]:
    """Start an orchestrator and have it run so many jobs that end by themselves only after a while."""
    daemon = site.start(line, site.configure(kind))
    ids = [job.id for job in site.producer.enqueue_many([Job("nap", {"seconds": 2.5}) for _ in range(count)])]
    eventually(lambda: set(site.executions()) == set(ids), f"{count} jobs to start")
    return daemon, ids


def test_theirs_takes_over_when_ours_is_killed(site: Site) -> None:
    """Its janitor finds the jobs of ours once the health report has run out, and runs them again."""
    ours, ids = held(site, "ours", "ours")
    ours.kill()
    with site.running("public", "wheel"):
        all_ended(site, ids)
    assert set(site.fields(ids, "status")) == {"COMPLETED"}
    assert site.executions() == Counter(dict.fromkeys(ids, 2))
    assert site.dead() == []


def test_ours_takes_over_when_theirs_is_killed(site: Site) -> None:
    """Our reconciler finds an active set whose owner has no health report any more; the locks the dead one
    left do not hold the jobs up.
    """
    theirs, ids = held(site, "public", "wheel")
    theirs.kill()
    assert site.client.exists(*(site.keyspace.lock_job(each) for each in ids)) == len(ids)
    with site.running("ours", "ours"):
        all_ended(site, ids)
    assert set(site.fields(ids, "status")) == {"COMPLETED"}
    assert site.executions() == Counter(dict.fromkeys(ids, 2))
    assert set(site.fields(ids, "crash_count")) == {"1"}


def test_ours_changes_nothing_once_theirs_has_taken_over(site: Site) -> None:
    """Stopped for so long that theirs took its jobs and ended them, ours goes on: what it has to say is
    stale, and it works on under a new id.
    """
    ours, ids = held(site, "ours", "ours", 4)
    ours.process.send_signal(signal.SIGSTOP)
    with site.running("public", "wheel"):
        all_ended(site, ids)
    before = [site.client.hgetall(site.keyspace.job(each)) for each in ids]
    ours.process.send_signal(signal.SIGCONT)
    again = site.producer.enqueue("echo")
    assert site.result(again.id).status is JobStatus.COMPLETED
    eventually(lambda: not site.left(), "no key to be left")
    assert [site.client.hgetall(site.keyspace.job(each)) for each in ids] == before
    assert ours.stop() == 0


def test_each_leaves_the_jobs_of_the_other_alone(site: Site) -> None:
    """Jobs that outlast leases, reports and looks of the reconciler, on both: each is started once."""
    longer = {"worker_health_check_ttl_buffer_seconds": 3.0, "lease_seconds": 3.0}
    with site.running("ours", "ours", **longer), site.running("public", "wheel", **longer):
        jobs = site.producer.enqueue_many([Job("nap", {"seconds": 6.0}) for _ in range(24)])
        ids = [job.id for job in jobs]
        eventually(lambda: len(site.executions()) == len(ids), "all jobs to start")
        all_ended(site, ids)
    assert site.executions() == Counter(dict.fromkeys(ids, 1))
    workers = Counter(site.fields(ids, "worker_id"))
    assert len(workers) == 2


@pytest.mark.parametrize(("first", "then"), [("public", "ours"), ("ours", "public")])
def test_a_move_takes_every_job_along(site: Site, first: str, then: str) -> None:
    """From one line to the other, or back: stop one, start the other. A retry keeps its count and its time; a
    job that was under way is given back, and nothing is counted for that.
    """
    runners = {"public": "wheel", "ours": "ours"}
    with site.running(first, runners[first], worker_shutdown_grace_period_seconds=0.2):
        tried = site.producer.enqueue("patient", {"seconds": 2.0})
        eventually(lambda: site.record(tried.id).status is JobStatus.RETRYING, "the first attempt to end")
        under_way = site.producer.enqueue("nap", {"seconds": 2.0})
        eventually(lambda: site.starts(under_way.id), "the other job to start")
    waits = site.producer.enqueue("echo")
    assert set(site.fields([under_way.id, waits.id], "status")) == {"PENDING"}
    with site.running(then, runners[then]):
        all_ended(site, [tried.id, under_way.id, waits.id])
    assert set(site.fields([tried.id, under_way.id, waits.id], "status")) == {"COMPLETED"}
    assert site.starts(tried.id) == [(1, runners[first]), (2, runners[then])]
    assert site.starts(under_way.id) == [(1, runners[first]), (1, runners[then])]
    assert site.dead() == []
