"""The invariants on plain facts; what the keys of a real Redis make of them is in test_look.py."""

import math
from typing import Any

import pytest

from rrq_orchestrator.audit import EntryFacts, Finding, JobFacts, Level, Rules, Seen
from rrq_orchestrator.audit.judge import (
    judge_counters,
    judge_entry,
    judge_events,
    judge_job,
    judge_owner,
    judge_quarantine,
    judge_type,
    judge_unique,
)
from rrq_protocol import JobStatus, Keyspace
from rrq_protocol.transitions import Evidence, RepairKind

KEYS, RULES = Keyspace(), Rules(max_crashes=3)
WHOLE = {"id": "j", "function_name": "f", "enqueue_time": "2026-01-01T00:00:00Z", "status": "PENDING"}


def job(fields: dict[str, str] | None = None, **places: Any) -> list[Finding]:
    """Judge a job that is whole and in its queue unless said otherwise."""
    return list(
        judge_job(JobFacts("j", {**WHOLE, **(fields or {})}, **{"queues": ("q",), **places}), KEYS, RULES)
    )


def told(findings: list[Finding]) -> list[tuple[str, RepairKind | None]]:
    """Return the rules and repairs."""
    return [(each.rule, each.repair.kind if each.repair else None) for each in findings]


def test_each_state_in_its_place_is_in_order() -> None:
    """A queue for those that wait, its owner's set for an active one, one DLQ entry for a failed one."""
    assert job() == job({"status": "RETRYING"}) == []
    assert job({"status": "ACTIVE"}, held=True) == []
    assert job({"status": "COMPLETED"}, expires=True) == job({"status": "CANCELLED"}, expires=True) == []
    assert job({"status": "FAILED"}, dlqs=(("default", 1),), expires=True) == []


@pytest.mark.parametrize(
    ("fields", "places", "expected"),
    [
        ({}, {"queues": ()}, [("I1", RepairKind.QUEUE)]),
        ({"status": "ACTIVE"}, {}, [("I1", RepairKind.OWNER)]),
        ({}, {"expires": True}, [("I4", RepairKind.TTL)]),
        ({"job_unique_key": "u"}, {"keyless": True}, [("I9", RepairKind.KEY)]),
        ({"status": "CANCELLED", "job_unique_key": "u"}, {"keyless": True}, []),
        ({"status": "ACTIVE", "claim_seq": "0"}, {"held": True}, [("I5", None)]),
        ({"status": "ACTIVE"}, {"held": True, "leased": True}, [("I5", None)]),
        ({"status": "DONE"}, {}, [("I3", None)]),
        ({"id": "x"}, {}, [("I3", None)]),
        ({"current_retries": "few"}, {}, [("I10", None)]),
        ({"current_retries": "²"}, {}, [("I10", None)]),
        ({"current_retries": "9" * 4301, "max_retries": "3"}, {}, [("I10", None)]),
        ({"max_retries": "9" * 4301}, {}, [("I10", None)]),
        ({"max_retries": "²"}, {}, [("I10", None)]),
        ({"crash_count": "9" * 4301}, {}, [("I10", None)]),
        ({"claim_seq": "9" * 4301}, {}, [("I5", None)]),
        ({"current_retries": "6", "max_retries": "5"}, {}, [("I10", None)]),
        ({"crash_count": "4"}, {}, [("I10", None)]),
        ({"status": "FAILED", "id": "x"}, {"malformed": True, "dlqs": (("d", 1),)}, []),
        ({"status": "FAILED"}, {}, [("I2", RepairKind.DEAD)]),
        ({"status": "FAILED", "dlq_name": "d"}, {"dlqs": (("d", 2),)}, [("I2", RepairKind.DEAD)]),
        ({"status": "FAILED", "dlq_name": "d"}, {"dlqs": (("d", 1), ("e", 1))}, [("I2", RepairKind.BURIED)]),
        (
            {"status": "FAILED"}, {"dlqs": (("d", 1), ("e", 1))},
            [("I2", RepairKind.DEAD), ("I2", RepairKind.BURIED)],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_job(
    fields: dict[str, str], places: dict[str, Any], expected: list[tuple[str, RepairKind | None]]
) -> None:
    """Each fault has its rule, and the repair that answers it if there is one."""
    assert told(job(fields, **places)) == expected


@pytest.mark.parametrize(
    ("due", "enqueued", "ms"),
    [
        ("2026-01-01T00:00:01.500Z", "", 1_767_225_601_500),
        ("garbage", "2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("", "", None), ("2026-01-01T00:00:00", "", None), ("9999-12-31T23:59:59Z", "", 253_402_300_799_000),
    ],
)  # fmt: skip
def test_a_job_goes_back_to_when_it_was_due(due: str, enqueued: str, ms: int | None) -> None:
    """Its due time, else when it was enqueued; what cannot be read is at once."""
    (found,) = job({"next_scheduled_run_time": due, "enqueue_time": enqueued}, queues=())
    assert found.repair is not None
    assert found.repair.due_ms == ms


def test_a_dead_letter_without_a_dlq_goes_to_its_own_or_the_default() -> None:
    """The one its record names, else the configured one."""
    for name, place in (("mail", "mail"), ("", "default")):
        (found,) = job({"status": "FAILED", "dlq_name": name})
        assert found.repair is not None
        assert found.repair.place == place


def entry(family: str, seen: Seen, score: float = 1.0) -> list[Finding]:
    """Judge an entry of the index called ``x``."""
    return list(judge_entry(EntryFacts(family, "x", "j", seen, score), KEYS, RULES))


def seen(status: str, worker: str = "x", queue: str = "x") -> Seen:
    """Return a record as an index meets it."""
    return Seen(True, Evidence(status, worker, "1"), queue)


@pytest.mark.parametrize(
    ("family", "good"), [("queue", {"PENDING", "RETRYING"}), ("active", {"ACTIVE"}), ("dlq", {"FAILED"})]
)
def test_an_entry_belongs_to_jobs_of_its_kind(family: str, good: set[str]) -> None:
    """Any other is taken out under its evidence; a record of no known status is another's business (I3)."""
    for status in JobStatus:
        found = entry(family, seen(status.value))
        assert (found == []) is (status.value in good), status
        assert all(each.repair and each.repair.evidence.status == status for each in found)
    assert entry(family, seen("DONE")) == []
    (phantom,) = entry(family, Seen())
    assert (phantom.rule, phantom.level) == ("I8", Level.WARNING if family == "dlq" else Level.ERROR)


def test_an_entry_of_another_owner_or_queue() -> None:
    """What the record names counts; a record that names no queue of ours may be in any."""
    assert told(entry("active", seen("ACTIVE", worker="y"))) == [("I1", RepairKind.HELD)]
    assert told(entry("queue", seen("PENDING", queue="rrq:queue:y"))) == [("I1", RepairKind.QUEUED)]
    assert (
        entry("queue", seen("PENDING", queue="some:key")) == entry("queue", seen("PENDING", queue="")) == []
    )


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan, -1.0, 1e18])
def test_a_time_that_never_comes(score: float) -> None:
    """Not finite, before 1970 or behind the end of time."""
    assert told(entry("queue", seen("PENDING"), score)) == [("I11", RepairKind.QUEUE)]


def test_owners() -> None:
    """An unlisted one is given to the janitors if they can read its name."""
    assert list(judge_owner("w", True, KEYS)) == []
    assert told(list(judge_owner("w", False, KEYS))) == [("I7", RepairKind.REAP)]
    assert told(list(judge_owner("\udcff", False, KEYS))) == told(list(judge_owner("", False, KEYS)))
    assert told(list(judge_owner("", False, KEYS))) == [("I7", None)]


@pytest.mark.parametrize(
    ("key", "kind"),
    [(KEYS.idempotency("u:v"), RepairKind.IDEMPOTENCY), (KEYS.lock_unique("u:v"), RepairKind.UNIQUE)],
)
def test_unique_keys(key: str, kind: RepairKind) -> None:
    """They hold jobs that have not ended; one of an unknown state is left alone."""
    assert list(judge_unique(key, "j", seen("ACTIVE"), KEYS)) == []
    for state in (seen("COMPLETED"), Seen()):
        (found,) = judge_unique(key, "j", state, KEYS)
        assert found.repair is not None
        assert (found.repair.kind, found.repair.place) == (kind, "u:v")
    assert told(list(judge_unique(key, "j", seen("DONE"), KEYS))) == [("I9", None)]


def test_events() -> None:
    """One of the job's final status, or none; with job events never none."""
    strict = Rules(job_events=True)
    assert list(judge_events("j", [], seen("FAILED"), KEYS, RULES)) == []
    assert list(judge_events("j", ["FAILED"], seen("FAILED"), KEYS, strict)) == []
    assert list(judge_events("j", [], seen("PENDING"), KEYS, strict)) == []
    for found, record in (
        (["FAILED"], seen("PENDING")),
        (["FAILED"], Seen()),
        (["FAILED"] * 2, seen("FAILED")),
    ):
        assert told(list(judge_events("j", found, record, KEYS, RULES))) == [("I12", None)]
    assert told(list(judge_events("j", [], seen("FAILED"), KEYS, strict))) == [("I12", None)]


def test_types_and_ids_set_aside() -> None:
    """A key that is gone has no type; ids set aside are for a person."""
    assert list(judge_type("k", "hash", "hash")) == list(judge_type("k", "hash", "none")) == []
    assert told(list(judge_type("k", "hash", "string"))) == [("F40", None)]
    assert list(judge_quarantine([], KEYS)) == []
    (found,) = judge_quarantine(["b", "a", "a"], KEYS)
    assert (found.level, found.found.endswith("a, b")) == (Level.WARNING, True)


def test_counters() -> None:
    """What was accepted is somewhere; either difference is a warning."""
    totals = {"enqueued": 5, "requeued": 1, "completed": 2, "failed": 1, "lost": 1, "started": 9}
    assert list(judge_counters(totals, 2, KEYS)) == []
    for live, word in ((1, "1 jobs that nobody ended"), (4, "2 jobs that nobody counted in")):
        (found,) = judge_counters(totals, live, KEYS)
        assert found.level is Level.WARNING
        assert word in found.found
