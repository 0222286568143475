"""Jobs and orchestrators for trying things out. All their ids begin with ``test_``.

Jobs that have ended are made by the same transitions as real ones, in a queue of their own that nobody else
serves, and with times in the past; then they are put where they belong, and their counters with them.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from rrq_cli.exits import fail
from rrq_cli.shapes import Generated
from rrq_cli.store.client import Store
from rrq_cli.store.enqueueing import defaults_of
from rrq_protocol import AttemptEntry, Job, new_job_id, transitions
from rrq_protocol.transitions import Charge, ClaimedJob, ClaimRequest, Lease, SettleKind, Settlement

__all__ = ["STATUSES", "TEST_PREFIX", "WORKER_PREFIX", "Plan", "fake_orchestrators", "generate"]

TEST_PREFIX = "test_"
WORKER_PREFIX = "test_worker_"
STATUSES = ("pending", "deferred", "retrying", "completed", "failed")
_LEASE_MS = 30_000
_AT_A_TIME = 20
_FUNCTIONS = ("send_email", "resize_image", "import_row", "charge_card", "build_report")
_ERRORS = (
    ("ValueError", "expected a number, got 'seven'"),
    ("TimeoutError", "no answer within 30 s"),
    ("KeyError", "'address'"),
)


class Plan(msgspec.Struct, frozen=True):
    """What is to be generated.

    Attributes:
        count: Jobs in all.
        queues: Where they are spread over.
        statuses: What they are, some of ``STATUSES``.
        age_s: How old those that have ended are at most.
        batch_size: Waiting jobs enqueued in one call.
        functions: What they call; some made-up names by default.
    """

    count: int
    queues: Sequence[str]
    statuses: Sequence[str]
    age_s: float
    batch_size: int
    functions: Sequence[str] = _FUNCTIONS


def generate(
    store: Store, plan: Plan, random: Random, progress: Callable[[float], None] = lambda done: None
) -> Generated:
    """Generate jobs, and return how many of each status."""
    made: Counter[str] = Counter(random.choice(plan.statuses) for _ in range(plan.count))
    waiting = made["pending"] + made["deferred"]
    for start in range(0, waiting, plan.batch_size):
        size = min(plan.batch_size, waiting - start)
        deferred = [number >= made["pending"] for number in range(start, start + size)]
        jobs = [_job(plan, random, random.choice(plan.queues), defer) for defer in deferred]
        _enqueue(store, jobs, None)
        progress(size)
    past = [status for status in ("retrying", "completed", "failed") for _ in range(made[status])]
    random.shuffle(past)
    if past:
        starts = range(0, len(past), _AT_A_TIME)
        # Oldest first, so that dead letters lie in the order they failed in.
        ages = sorted((random.uniform(0, plan.age_s) for _ in starts), reverse=True)
        with _Workshop(store, random) as workshop:
            for start, age_s in zip(starts, ages, strict=True):
                statuses = past[start : start + _AT_A_TIME]
                queue = random.choice(plan.queues)
                jobs = [_job(plan, random, workshop.queue, False) for _ in statuses]
                workshop.run(jobs, statuses, queue, age_s)
                progress(len(statuses))
    return Generated(
        jobs={status: made[status] for status in STATUSES if made[status]}, queues=list(plan.queues)
    )


def _job(plan: Plan, random: Random, queue: str, deferred: bool) -> Job:
    return Job(
        random.choice(plan.functions),
        {"number": random.randrange(1_000_000), "generated": True},
        queue_name=queue,
        job_id=TEST_PREFIX + new_job_id(),
        defer_by=random.uniform(60, 3600) if deferred else None,
    )


def _enqueue(store: Store, jobs: Sequence[Job], now_ms: int | None) -> None:
    defaults = defaults_of(store)
    prepared = [transitions.prepare(job, defaults) for job in jobs]
    replies = store.run(transitions.enqueue(store.keys, prepared, now_ms=now_ms))
    if any(reply.kind is not transitions.EnqueueKind.CREATED for reply in replies):
        fail("a queue's key holds something else than a queue: `rrq doctor` says which")


class _Workshop:
    """A queue and an orchestrator of its own, in which jobs get a past."""

    def __init__(self, store: Store, random: Random) -> None:
        token = secrets.token_hex(6)
        self.queue, self._worker = f"{TEST_PREFIX}workshop_{token}", f"{WORKER_PREFIX}workshop_{token}"
        self._store, self._random = store, random
        self._lease = Lease(self._worker, _LEASE_MS, _report(self._worker, []), _LEASE_MS)

    def __enter__(self) -> "_Workshop":
        self._store.run(transitions.register(self._store.keys, self._lease))
        return self

    def __exit__(self, *_: object) -> None:
        store, keys = self._store, self._store.keys
        store.run(transitions.deregister(keys, self._worker))
        store.ask(("DEL", keys.queue(self.queue), keys.wake(self.queue)), ("SREM", keys.queues, self.queue))

    def run(self, jobs: Sequence[Job], statuses: Sequence[str], queue: str, age_s: float) -> None:
        """Enqueue jobs some time ago, run them, end them as asked ``age_s`` seconds ago, and put them into
        ``queue``.
        """
        store, keys, random = self._store, self._store.keys, self._random
        store.run(transitions.heartbeat(keys, self._lease))
        wait_ms, run_ms = round(random.expovariate(1 / 200)), 1 + round(random.expovariate(1 / 300))
        begun = round(store.now_ms() - age_s * 1000) - wait_ms - run_ms
        times = (begun, begun + wait_ms, begun + wait_ms + run_ms)
        _enqueue(store, jobs, times[0])
        request = ClaimRequest(self.queue, "python", len(jobs))
        claimed = store.run(transitions.claim(keys, self._worker, [request], {}, now_ms=times[1])).jobs
        ends = [self._end(job, status, times, run_ms) for job, status in zip(claimed, statuses, strict=True)]
        store.run(transitions.settle(keys, self._worker, ends, now_ms=times[2]))
        self._move([job.id for job in claimed], queue)
        self._move_counters(queue, {time // 60_000 for time in times})

    def _end(self, job: ClaimedJob, status: str, times: Sequence[int], run_ms: int) -> Settlement:
        if status == "completed":
            kind, kept_s = SettleKind.COMPLETE, self._store.settings.default_result_ttl_seconds
            return Settlement(
                job.id, job.claim_seq, kind, self.queue, '{"ok": true}', ttl_seconds=kept_s, run_ms=run_ms
            )
        error_type, message = self._random.choice(_ERRORS)
        failed = status == "failed"
        delay_ms = 0 if failed else self._random.randint(60_000, 3_600_000)
        entry = AttemptEntry(
            1, "failed" if failed else "retry", message, type=error_type, started_at_ms=times[1],
            ended_at_ms=times[2], worker=self._worker, runner="python", claim_seq=job.claim_seq,
        )  # fmt: skip
        settings = self._store.settings
        return Settlement(
            job.id,
            job.claim_seq,
            SettleKind.FAIL if failed else SettleKind.RETRY,
            self.queue,
            f"{error_type}: {message}",
            delay_ms=round(self._store.now_ms() - times[2]) + delay_ms if not failed else 0,
            charge=Charge.RETRY,
            ttl_seconds=settings.failed_job_ttl_seconds if failed else 0,
            dlq_name=settings.default_dlq_name,
            attempts_log=msgspec.json.encode((entry,)),
            run_ms=run_ms,
        )

    def _move(self, ids: Sequence[str], queue: str) -> None:
        """Write the queue they are said to be of into the records, and put the waiting ones there."""
        keys, there = self._store.keys, self._store.keys.queue(queue)
        scores = self._store.ask(*(("ZSCORE", keys.queue(self.queue), job_id) for job_id in ids))
        commands: list[tuple[Any, ...]] = [("SADD", keys.queues, queue)]
        for job_id, score in zip(ids, scores, strict=True):
            commands.append(("HSET", keys.job(job_id), "queue_name", there))
            if score is not None:
                commands.append(("ZADD", there, float(score), job_id))
                commands.append(("ZREM", keys.queue(self.queue), job_id))
        self._store.ask(*commands)

    def _move_counters(self, queue: str, minutes: set[int]) -> None:
        keys = self._store.keys
        pairs = [(keys.stats(self.queue), keys.stats(queue), 0)]
        pairs += [(keys.stats_minute(self.queue, at), keys.stats_minute(queue, at), 90_000) for at in minutes]
        found = self._store.ask(*(("HGETALL", own) for own, _, _ in pairs))
        commands: list[tuple[Any, ...]] = [("DEL", *(own for own, _, _ in pairs))]
        for (_, there, ttl), counts in zip(pairs, found, strict=True):
            commands += [("HINCRBY", there, field, int(count)) for field, count in counts.items()]
            commands += [("EXPIRE", there, ttl)] if ttl and counts else []
        self._store.ask(*commands)


def _report(name: str, queues: Sequence[str]) -> bytes:
    return msgspec.json.encode(
        {
            "worker_id": name,
            "status": "running",
            "active_jobs": 0,
            "concurrency_limit": 0,
            "queues": list(queues),
        }
        | {"host": "generated", "runners": {}}
    )


@contextmanager
def fake_orchestrators(store: Store, count: int, queues: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Make orchestrators known that execute nothing, for as long as the block runs.

    Yields:
        A function to call every few seconds: it keeps them alive.
    """
    names = [f"{WORKER_PREFIX}{number}_{secrets.token_hex(6)}" for number in range(1, count + 1)]
    leases = [Lease(name, _LEASE_MS, _report(name, queues), _LEASE_MS) for name in names]

    def beat() -> None:
        for lease in leases:
            if store.run(transitions.heartbeat(store.keys, lease)).fenced:
                store.run(transitions.register(store.keys, lease))

    try:
        for lease in leases:
            store.run(transitions.register(store.keys, lease))
        yield beat
    finally:
        for name in names:
            store.run(transitions.deregister(store.keys, name))
