"""The metrics, and their page."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.http.facts import DeadLetterFacts, Facts, QueueFacts, RunnerFacts
from rrq_orchestrator.http.metrics import OUTCOMES, families, render
from rrq_orchestrator.meters import Meters
from rrq_protocol.transitions import SettleKind
from support.orchestrating import claimed

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
FACTS = Facts(
    version="1.2",
    outbox=3,
    settled={"ok": 4, "stale": 1},
    runners=(RunnerFacts("python", "broken", capacity=10, free=8, processes=2, alive=1, restarts=5),),
    queues=(QueueFacts("default", 7, 2, 1.5, True),),
    dead_letters=(DeadLetterFacts("default", 9),),
)


def _meters() -> Meters:
    meters = Meters()
    meters.claim("default", 30.0)
    attempt = Attempt(claimed(), "o1", "python", "work", 60.0)
    attempt.start(0.0, 0)
    meters.end(attempt, SettleKind.COMPLETE, 0.3, {})
    return meters


def _values(facts: Facts, meters: Meters) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text, content_type = render(facts, meters, "")
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_is_exposed_is_what_was_counted() -> None:
    """As a scraper reads it; the last bucket holds all."""
    values = _values(FACTS, _meters())

    def value(name: str, **labels: str) -> float:
        return values[name, frozenset(labels.items())]

    assert value("rrq_outbox_jobs") == 3
    assert value("rrq_ready") == 0
    assert value("rrq_settlements_total", reply="stale") == 1
    assert value("rrq_attempts_total", queue="default", runner="other", outcome="completed") == 1
    assert value("rrq_job_wait_seconds_bucket", queue="default", le="0.025") == 0
    assert value("rrq_job_wait_seconds_bucket", queue="default", le="0.05") == 1
    assert value("rrq_job_wait_seconds_bucket", queue="default", le="+Inf") == 1
    assert value("rrq_job_wait_seconds_sum", queue="default") == 0.03
    assert value("rrq_attempt_run_seconds_count", queue="default", runner="other") == 1
    assert value("rrq_runner_in_flight", runner="python") == 2
    assert value("rrq_runner_state", runner="python", state="broken") == 1
    assert value("rrq_runner_state", runner="python", state="ready") == 0
    assert value("rrq_queue_jobs", queue="default", state="ready") == 7
    assert value("rrq_queue_oldest_ready_seconds", queue="default") == 1.5
    assert value("rrq_queue_paused", queue="default") == 1
    assert value("rrq_dead_letters", dlq="default") == 9
    assert value("rrq_queues_known") == 1


def test_sizes_that_are_not_known_are_left_out() -> None:
    """A 0 would read as an empty queue."""
    values = _values(Facts(version="1"), Meters())
    assert values["rrq_queues_known", frozenset()] == 0
    assert not any(name.startswith(("rrq_queue_", "rrq_dead")) for name, _ in values)


def test_hostile_names_stay_labels() -> None:
    """Quotes and line breaks in a queue's name add no series."""
    name = 'a"} 1\nrrq_ready 1'
    meters = Meters()
    meters.claim(name, 1.0)
    assert _values(Facts(version="1"), meters)["rrq_jobs_claimed_total", frozenset({("queue", name)})] == 1


def test_openmetrics_is_spoken_where_it_is_asked_for() -> None:
    """By the Accept header."""
    text, content_type = render(FACTS, _meters(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_every_end_has_a_name() -> None:
    """None of them twice."""
    assert set(OUTCOMES) == set(SettleKind)
    assert len(set(OUTCOMES.values())) == len(OUTCOMES)


def test_the_page_lists_every_metric() -> None:
    """With its labels, and no others."""
    exposed = {}
    for family in families(FACTS, _meters()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed[name] = (family.type, labels)
    rows = re.findall(r"^\| `(rrq_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed.keys() == exposed.keys()
    for name, (kind, labels) in exposed.items():
        assert listed[name][0] == kind
        assert labels <= listed[name][1], name
