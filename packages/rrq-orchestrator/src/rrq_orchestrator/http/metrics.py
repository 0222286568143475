"""The metrics of an orchestrator (docs/metrics.md), made from plain numbers when they are asked for. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from rrq_orchestrator.http.facts import Facts
from rrq_orchestrator.http.readiness import unready_reasons
from rrq_orchestrator.meters import Histogram, Meters
from rrq_orchestrator.runners.base import RunnerState
from rrq_protocol.transitions import SettleKind

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["families", "render"]

OUTCOMES: Final = {
    SettleKind.COMPLETE: "completed",
    SettleKind.RETRY: "retried",
    SettleKind.FAIL: "dead_lettered",
    SettleKind.RELEASE: "released",
    SettleKind.CRASH: "crashed",
    SettleKind.SUSPECT: "suspected",
    SettleKind.CANCEL: "cancelled",
}


def render(facts: Facts, meters: Meters, accept: str) -> tuple[bytes, str]:
    """Return the exposition and its content type, in the format that ``accept`` asks for."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(lambda: families(facts, meters)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector:
    def __init__(self, collect: Callable[[], "Iterable[Metric]"]) -> None:
        self.collect = collect


def families(facts: Facts, meters: Meters) -> "Iterator[Metric]":
    """Yield every metric, those of a queue or runner also where nothing has happened yet."""
    yield from _of_process(facts)
    yield from _of_jobs(meters)
    yield from _of_runners(facts)
    yield from _of_queues(facts)


def _of_process(facts: Facts) -> "Iterator[Metric]":
    yield _gauge("rrq_info", "Constant 1, with the version.", ("version",), {(facts.version,): 1})
    yield _gauge("rrq_ready", "1 where /readyz says 200.", (), {(): not unready_reasons(facts)})
    connected = "1 while Redis answers and takes writes."
    yield _gauge("rrq_redis_connected", connected, (), {(): facts.redis_connected})
    yield _counter("rrq_redis_outages", "Times Redis was lost.", (), {(): facts.redis_outages})
    lost = "Times it came back empty, or with an older state."
    yield _counter("rrq_redis_state_lost", lost, (), {(): facts.redis_state_lost})
    yield _gauge("rrq_outbox_jobs", "Ends of attempts that Redis does not know yet.", (), {(): facts.outbox})
    yield _gauge("rrq_jobs_in_flight", "Attempts this orchestrator holds.", (), {(): facts.active})
    yield _counter("rrq_claim_passes", "Looks of the claim loop at its queues.", (), {(): facts.claims})
    yield _counter(
        "rrq_settlements",
        "Ends written, by Redis's answer; stale and gone: the attempt was no longer ours.",
        ("reply",),
        {(reply,): count for reply, count in facts.settled.items()},
    )
    yield _counter(
        "rrq_jobs_recovered", "Jobs taken back from dead orchestrators.", (), {(): facts.recovered}
    )


def _of_jobs(meters: Meters) -> "Iterator[Metric]":
    labels = ("queue", "runner")
    yield _counter(
        "rrq_jobs_claimed", "Jobs taken.", ("queue",), {(q,): sum(w.counts) for q, w in meters.waits.items()}
    )
    yield _counter(
        "rrq_attempts",
        "Attempts that ended, by how.",
        (*labels, "outcome"),
        {(queue, runner, OUTCOMES[kind]): n for (queue, runner, kind), n in meters.ended.items()},
    )
    yield _counter(
        "rrq_function_attempts",
        "The same by function, of those that a runner announced.",
        ("function", "outcome"),
        {(function, OUTCOMES[kind]): n for (function, kind), n in meters.functions.items()},
    )
    yield _counter(
        "rrq_jobs_malformed",
        "Records that could not be read, and went to the dead letters.",
        ("queue",),
        {(queue,): count for queue, count in meters.malformed.items()},
    )
    yield _histogram(
        "rrq_job_wait_seconds",
        "From when a job was due until it was claimed.",
        ("queue",),
        {(queue,): histogram for queue, histogram in meters.waits.items()},
    )
    runs = "From dispatch to the end of an attempt, given-back ones left out."
    yield _histogram("rrq_attempt_run_seconds", runs, labels, meters.runs)


def _of_runners(facts: Facts) -> "Iterator[Metric]":
    def each(value: Callable[[Any], float]) -> dict[tuple[str, ...], float]:
        return {(runner.name,): value(runner) for runner in facts.runners}

    label = ("runner",)
    yield _gauge(
        "rrq_runner_state",
        "1 for the state a runner is in.",
        ("runner", "state"),
        {(r.name, state): r.state == state for r in facts.runners for state in get_args(RunnerState)},
    )
    yield _gauge(
        "rrq_runner_capacity", "Slots of processes that take jobs.", label, each(lambda r: r.capacity)
    )
    yield _gauge("rrq_runner_in_flight", "Slots that are taken.", label, each(lambda r: r.capacity - r.free))
    yield _gauge("rrq_runner_processes", "Processes that live.", label, each(lambda r: r.alive))
    wanted = "Processes there should be."
    yield _gauge("rrq_runner_processes_wanted", wanted, label, each(lambda r: r.processes))
    replaced = "Processes that took the place of earlier ones."
    yield _counter("rrq_runner_restarts", replaced, label, each(lambda r: r.restarts))


def _of_queues(facts: Facts) -> "Iterator[Metric]":
    queues, label = facts.queues or (), ("queue",)
    told = facts.queues is not None
    yield _gauge("rrq_queues_known", "1 where Redis told the sizes below in time.", (), {(): told})
    yield _gauge(
        "rrq_queue_jobs",
        "Jobs that wait, due (ready) or for later (scheduled); over all orchestrators.",
        ("queue", "state"),
        {(q.name, state): getattr(q, state) for q in queues for state in ("ready", "scheduled")},
    )
    yield _gauge(
        "rrq_queue_oldest_ready_seconds",
        "How long the first job is due, 0 where none is.",
        label,
        {(q.name,): q.oldest_s for q in queues},
    )
    yield _gauge(
        "rrq_queue_paused", "1 while a queue is paused.", label, {(q.name,): q.paused for q in queues}
    )
    yield _gauge(
        "rrq_dead_letters",
        "Jobs in a dead-letter queue.",
        ("dlq",),
        {(each.name,): each.jobs for each in facts.dead_letters or ()},
    )


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, Histogram]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, text, labels=labels)
    for key, histogram in values.items():
        buckets: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
            so_far += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), so_far))
        family.add_metric(key, buckets, histogram.total)
    return family
