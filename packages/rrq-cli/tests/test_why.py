"""Why a job does not run: each reason, and which one is told where several hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rrq_cli.shapes import JobRow, OrchestratorInfo, RunnerInfo
from rrq_cli.why import Facts, explain_wait

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW_MS = NOW.timestamp() * 1000


def job(status: str = "PENDING", **more: Any) -> JobRow:
    return JobRow(id="j", **{"status": status, "queue_name": "media", "function_name": "f", **more})


def runner(**more: Any) -> RunnerInfo:
    return RunnerInfo(**{"name": "python", "state": "ready", "capacity": 4, "free": 4, **more})


def orchestrator(**more: Any) -> OrchestratorInfo:
    facts = {"id": "o1", "state": "live", "status": "running", "queues": ["media"], "runners": [runner()]}
    return OrchestratorInfo(**{**facts, **more})


def facts(**more: Any) -> Facts:
    """Return those of a job that could start at once, unless told otherwise."""
    known = {"job": job(), "now": NOW, "runner": "python", "now_ms": NOW_MS, "due_ms": NOW_MS - 1}
    return Facts(**{**known, "orchestrators": [orchestrator()], **more})


def full(name: str) -> OrchestratorInfo:
    return orchestrator(id=name, runners=[runner(free=0), runner(name="other")])


ACTIVE = job("ACTIVE", worker_id="o1", started_at=NOW - timedelta(seconds=30))
CASES = [
    (facts(), "next", False, "it is the next of its queue and may start at any moment", None),
    (facts(before=2), "behind", False, "it is due, and 2 jobs of its queue are due before it", None),
    (
        facts(suspect=True),
        "next", False,
        ("it is the next of its queue; a process died under it: it runs alone, once there is a process for "
         "that"),
        None,
    ),
    (
        facts(before=2, suspect=True),
        "behind", False,
        ("it is due, and 2 jobs of its queue are due before it; a process died under it: it runs alone, once "
         "there is a process for that"),
        None,
    ),
    (
        facts(outranked=[("critical", 1200), ("fast", 1)]),
        "behind", False,
        ("it is due, and no job of its queue is due before it, and by worker.strict these queues come first: "
         "critical (1,200 due), fast (1 due)"),
        None,
    ),
    (facts(job=job(problem="bad id")), "broken", True, "its record is broken: bad id", "doctor"),
    (facts(job=job("COMPLETED")), "done", False, "it ran and completed", "job replay j"),
    (facts(job=job("CANCELLED")), "done", False, "it was cancelled", "job replay j"),
    (
        facts(job=job("FAILED", last_error="ValueError: boom\n  at x")),
        "done", False, "it failed for good: ValueError: boom", "dlq requeue --job-id j",
    ),
    (facts(job=ACTIVE), "running", False, "it runs for 30.0 s on o1", None),
    (
        facts(job=ACTIVE, cancel_requested=True),
        "running", False, "it runs for 30.0 s on o1; it was asked to cancel", None,
    ),
    (
        facts(job=ACTIVE, suspect=True),
        "running", False,
        ("it runs for 30.0 s on o1; a process died under it: it runs alone, once there is a process for "
         "that"),
        None,
    ),
    (
        facts(job=ACTIVE, orchestrators=[orchestrator(state="lapsed"), orchestrator(id="o2")]),
        "recovering", False,
        ("it was claimed for 30.0 s, but its orchestrator o1 lives no more; another one takes it back in a "
        "moment"),
        None,
    ),
    (
        facts(job=ACTIVE, orchestrators=[]),
        "recovering", True,
        ("it was claimed for 30.0 s, but its orchestrator o1 lives no more, and none is there to take it "
        "back"),
        "worker run",
    ),
    (
        facts(due_ms=None),
        "not_queued", True,
        "it waits by its record, but is not in queue media; orchestrators put that right", "doctor",
    ),
    (facts(paused=True), "paused", True, "queue media is paused", "queue resume media"),
    (facts(due_ms=NOW_MS + 90_000), "later", False, "it is due in 1m 30s", None),
    (
        facts(job=job("RETRYING", last_error="ValueError: boom\n  at x"), due_ms=NOW_MS + 5000),
        "later", False, "its next attempt is due in 5.0 s; the last one ended with: ValueError: boom", None,
    ),
    (
        facts(job=job("RETRYING", last_error="no handler f"), due_ms=NOW_MS + 5000, unknown_handler=True),
        "unknown_handler", False,
        ("no runner could take it: no handler f; it is tried again in 5.0 s, in case one has that handler "
         "by then"),
        None,
    ),
    (
        facts(lock_holder="w9", lock_ms=90_000),
        "locked", False,
        ("it is locked by w9, an orchestrator of another implementation; if that is gone, the lock ends in "
        "1m 30s"),
        None,
    ),
    (
        facts(lock_holder="w9", lock_key="rrq:lock:job:j"),
        "locked", True,
        ("it is locked by w9, an orchestrator of another implementation, and the lock has no end: where that "
         "is gone, delete the key rrq:lock:job:j"),
        None,
    ),
    (facts(orchestrators=[]), "no_orchestrator", True, "no orchestrator lives", "worker run"),
    (
        facts(orchestrators=[orchestrator(state="lapsed")]),
        "no_orchestrator", True, "no orchestrator lives; 1 orchestrator stopped telling of itself",
        "worker run",
    ),
    (
        facts(orchestrators=[orchestrator(status="stopping")]),
        "stopping", True, "the orchestrators of queue media are stopping", "worker run",
    ),
    (
        facts(orchestrators=[orchestrator(queues=["default"])]),
        "not_served", True, "1 orchestrator lives, and none serves queue media", "worker run --queue media",
    ),
    (
        facts(runner="rust"),
        "no_runner", True,
        ("it goes to runner rust, which no orchestrator of its queue has: add [rrq.runners.rust] to their "
        "settings"),
        None,
    ),
    (
        facts(orchestrators=[orchestrator(runners=[runner(state="broken", capacity=0, free=0)])]),
        "runner_broken", True, "runner python is broken: its processes do not start", "check",
    ),
    (
        facts(orchestrators=[
            orchestrator(runners=[runner(state="broken", capacity=0, free=0, last_error="exit 1\nmore")]),
            orchestrator(id="o2", runners=[
                runner(state="broken", capacity=0, free=0, last_error="exit 2: x\n", last_error_at=NOW)
            ]),
        ]),
        "runner_broken", True,
        "runner python is broken: its processes do not start; the last one: exit 2: x", "check",
    ),
    (
        facts(orchestrators=[orchestrator(runners=[
            runner(state="starting", capacity=0, free=0, last_error="killed by SIGKILL")
        ])]),
        "runner_starting", False,
        "runner python has no process yet that takes jobs; the last one: killed by SIGKILL", None,
    ),
    (
        facts(orchestrators=[orchestrator(runners=[runner(state="starting", capacity=0, free=0)])]),
        "runner_starting", False, "runner python has no process yet that takes jobs", None,
    ),
    (
        facts(orchestrators=[full("o1"), full("o2")], before=1),
        "runner_full", False,
        "runner python is full: all of 8 slots hold a job; 1 job of its queue is due before it", None,
    ),
    (
        facts(orchestrators=[orchestrator(runners=[runner(capacity=1, free=0)])]),
        "runner_full", False,
        "runner python is full: its slot holds a job; no job of its queue is due before it", None,
    ),
    (
        facts(orchestrators=[orchestrator(concurrency_limit=3, active_jobs=3)]),
        "limited", False,
        ("its orchestrator runs as many jobs as worker_concurrency allows, 3; no job of its queue is due "
        "before it"),
        None,
    ),
    (
        facts(orchestrators=[
            orchestrator(concurrency_limit=3, active_jobs=3), full("o2"),
            orchestrator(id="o3", concurrency_limit=2, active_jobs=2),
        ]),
        "limited", False,
        ("its 2 orchestrators run as many jobs as worker_concurrency allows, 5; no job of its queue is due "
        "before it"),
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("known", "reason", "stuck", "text", "advice"), CASES)
def test_a_reason(known: Facts, reason: str, stuck: bool, text: str, advice: str | None) -> None:
    """One fact that keeps a job from starting, told with what helps."""
    found = explain_wait(known, lambda *words: " ".join(words))
    assert (found.reason, found.stuck, found.text, found.advice) == (reason, stuck, text, advice)
    assert (found.id, found.status) == ("j", known.job.status)


def test_every_reason_is_documented() -> None:
    """The reasons are those that the shape and the command's help name."""
    from rrq_cli.commands.job import why
    from rrq_cli.shapes import Why

    reasons = {case[1] for case in CASES}
    for text in (Why.__doc__ or "", why.help or ""):
        assert all(reason in text for reason in reasons)
    listed = (Why.__doc__ or "").partition("reason: ")[2].partition("text: ")[0]
    assert {each for each in listed.replace("``", "`").split("`") if each.isidentifier()} - {"or"} == reasons


def test_one_that_can_take_it_is_enough() -> None:
    """Where one of two orchestrators has room, or does not say, the job may start."""
    for other in (
        orchestrator(id="o2"),
        orchestrator(id="o2", runners=None),
        orchestrator(id="o2", concurrency_limit=3, active_jobs=2),
        # All its slots are taken meanwhile, which its report does not know yet.
        orchestrator(id="o2", concurrency_limit=4, active_jobs=4),
    ):
        found = explain_wait(facts(orchestrators=[full("o1"), other]), lambda *words: "")
        assert found.reason == "next"
