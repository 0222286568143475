"""Enqueueing at a steady rate, to see what producers, Redis and orchestrators bear."""

import time
from collections.abc import Callable, Sequence

import msgspec

from rrq_cli.shapes import Stressed
from rrq_cli.store.client import Store
from rrq_cli.store.enqueueing import defaults_of
from rrq_cli.store.generating import TEST_PREFIX
from rrq_cli.store.queues import queue_stats
from rrq_protocol import Job, new_job_id, transitions

__all__ = ["Load", "due_now", "percentile", "stress"]

_TICK_S = 0.02
_LARGEST_CALL = 500
_LOOK_AGAIN_S = 0.2


class Load(msgspec.Struct, frozen=True):
    """What is enqueued: ``rate`` jobs per second for ``duration_s``, spread over ``queues`` in turn."""

    function: str
    rate: float
    duration_s: float
    queues: Sequence[str]
    payload_bytes: int = 0


def due_now(load: Load, elapsed_s: float, sent: int) -> int:
    """Return how many jobs should be enqueued now, at most one call's worth."""
    total = int(min(elapsed_s, load.duration_s) * load.rate)
    return max(0, min(total - sent, _LARGEST_CALL))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that ``share`` of all do not exceed; None where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def stress(
    store: Store,
    load: Load,
    *,
    wait_s: float | None = None,
    progress: Callable[[float], None] = lambda done: None,
) -> Stressed:
    """Enqueue at the rate, and with ``wait_s`` wait so long for the jobs to end.

    Where the rate is more than this process or Redis can do, it enqueues as fast as it can; the answer says
    how fast that was.
    """
    before = _ended(store, load.queues)
    calls_ms: list[float] = []
    sent, begun = 0, time.monotonic()
    goal = int(load.rate * load.duration_s)
    while (elapsed_s := time.monotonic() - begun) < load.duration_s or (
        sent < goal and elapsed_s < 2 * load.duration_s
    ):
        count = due_now(load, elapsed_s, sent)
        if count:
            calls_ms.append(_enqueue(store, load, sent, count))
            sent += count
            progress(count)
        else:
            time.sleep(min(_TICK_S, max(0.0, load.duration_s - elapsed_s)))
        if sent >= goal and elapsed_s >= load.duration_s:
            break
    seconds = time.monotonic() - begun
    answer = Stressed(
        enqueued=sent,
        seconds=seconds,
        jobs_per_second=sent / seconds if seconds else 0.0,
        call_ms_p50=percentile(calls_ms, 0.5),
        call_ms_p95=percentile(calls_ms, 0.95),
        call_ms_p99=percentile(calls_ms, 0.99),
    )
    if wait_s is not None:
        answer.ended = _wait(store, load.queues, before, sent, wait_s)
        whole = time.monotonic() - begun
        answer.ended_per_second = answer.ended / whole if whole else 0.0
    return answer


def _enqueue(store: Store, load: Load, first: int, count: int) -> float:
    """Enqueue jobs in one call; return how long it took in ms."""
    defaults, filling = defaults_of(store), "x" * load.payload_bytes
    prepared = [
        transitions.prepare(
            Job(
                load.function,
                {"number": number, **({"filling": filling} if filling else {})},
                queue_name=load.queues[number % len(load.queues)],
                job_id=f"{TEST_PREFIX}stress_{new_job_id()}",
            ),
            defaults,
        )
        for number in range(first, first + count)
    ]
    begun = time.perf_counter()
    store.run(transitions.enqueue(store.keys, prepared))
    return (time.perf_counter() - begun) * 1000


def _ended(store: Store, queues: Sequence[str]) -> int:
    totals = [each.totals for each in queue_stats(store, queues)]
    return sum(each.completed + each.failed + each.cancelled for each in totals)


def _wait(store: Store, queues: Sequence[str], before: int, sent: int, timeout_s: float) -> int:
    give_up = time.monotonic() + timeout_s
    while True:
        ended = min(sent, _ended(store, queues) - before)
        if ended >= sent or time.monotonic() >= give_up:
            return ended
        time.sleep(_LOOK_AGAIN_S)
