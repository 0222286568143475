"""Why a job does not run: facts in, one reason out. Pure.

The rules are asked in the order of the table below; the first that knows an answer gives it. Each looks at
one thing a job needs before it starts: that it waits, in a queue that is open, for a time that has come, for
an orchestrator that serves the queue, with a runner of the right name that has room.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from rrq_cli.shapes import JobRow, OrchestratorInfo, RunnerInfo, Why
from rrq_cli.words import duration, plural

__all__ = ["Facts", "explain_wait"]


class Facts(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of a job and of what it waits for.

    Attributes:
        job: Its list entry.
        now: The server's time.
        runner: The runner it goes to, by its name or by the settings at hand.
        due_ms: Its score in its queue, None where it is not in there; ``now_ms`` is the time to compare with.
        before: Jobs that are due before it.
        outranked: Queues that are served before its own, strictly, and how many jobs are due there.
        paused: Whether its queue is.
        lock_holder: Who holds a lock of the public line on it, and ``lock_ms`` for how long at the most; None
            without an end.
        unknown_handler: Whether its last attempt ended because no runner knew the function.
        cancel_requested: Whether somebody asked for its cancellation while it ran.
        suspect: Whether a process died under it, so that it runs alone in one.
        orchestrators: Everyone with a lease.
    """

    job: JobRow
    now: datetime
    runner: str
    now_ms: float = 0.0
    due_ms: float | None = None
    before: int = 0
    outranked: Sequence[tuple[str, int]] = ()
    paused: bool = False
    lock_holder: str | None = None
    lock_key: str = ""
    lock_ms: int | None = None
    unknown_handler: bool = False
    cancel_requested: bool = False
    suspect: bool = False
    orchestrators: Sequence[OrchestratorInfo] = ()


class _Answer(msgspec.Struct, frozen=True):
    """A reason, and the words of the ``rrq`` command that helps."""

    reason: str
    text: str
    help: tuple[str, ...] = ()
    stuck: bool = False


def explain_wait(facts: Facts, command: Callable[..., str]) -> Why:
    """Return why a job does not run; ``stuck`` where it never will unless somebody does something.

    Args:
        facts: What is known.
        command: Makes a command line to copy of its words.
    """
    found = next(answer for rule in _RULES if (answer := rule(facts)) is not None)
    return Why(
        id=facts.job.id,
        status=facts.job.status,
        reason=found.reason,
        text=found.text,
        stuck=found.stuck,
        advice=command(*found.help) if found.help else None,
    )


def _because(reason: str, text: str, *help_: str, stuck: bool = False) -> _Answer:
    return _Answer(reason, text, help_, stuck)


def _broken(facts: Facts) -> _Answer | None:
    problem = facts.job.problem
    if problem is None:
        return None
    return _because("broken", f"its record is broken: {problem}", "doctor", stuck=True)


def _ended(facts: Facts) -> _Answer | None:
    job = facts.job
    match job.status:
        case "COMPLETED":
            return _because("done", "it ran and completed", "job", "replay", job.id)
        case "CANCELLED":
            return _because("done", "it was cancelled", "job", "replay", job.id)
        case "FAILED":
            return _because(
                "done", f"it failed for good: {_error(job)}", "dlq", "requeue", "--job-id", job.id
            )
    return None


def _error(job: JobRow) -> str:
    return (job.last_error or "no error was recorded").strip().split("\n")[0]


def _running(facts: Facts) -> _Answer | None:
    job = facts.job
    if job.status != "ACTIVE":
        return None
    since = "" if job.started_at is None else f" for {duration((facts.now - job.started_at).total_seconds())}"
    holder = next((each for each in facts.orchestrators if each.id == job.worker_id), None)
    if holder is None or holder.state != "live":
        text = f"it was claimed{since}, but its orchestrator {job.worker_id} lives no more"
        takes_over = any(each.state == "live" for each in facts.orchestrators)
        if takes_over:
            return _because("recovering", f"{text}; another one takes it back in a moment")
        return _because("recovering", f"{text}, and none is there to take it back", *_START, stuck=True)
    asked = "; it was asked to cancel" if facts.cancel_requested else ""
    return _because("running", f"it runs{since} on {job.worker_id}{asked}{_alone(facts)}")


def _alone(facts: Facts) -> str:
    """Return what is to be said of a suspect, for the end of a sentence."""
    text = "; a process died under it: it runs alone, once there is a process for that"
    return text if facts.suspect else ""


def _not_queued(facts: Facts) -> _Answer | None:
    if facts.due_ms is not None:
        return None
    text = f"it waits by its record, but is not in queue {facts.job.queue_name}; orchestrators put that right"
    return _because("not_queued", text, "doctor", stuck=True)


def _paused(facts: Facts) -> _Answer | None:
    if not facts.paused:
        return None
    queue = facts.job.queue_name
    return _because("paused", f"queue {queue} is paused", "queue", "resume", queue or "", stuck=True)


def _later(facts: Facts) -> _Answer | None:
    if facts.due_ms is None or facts.due_ms <= facts.now_ms:
        return None
    left = duration((facts.due_ms - facts.now_ms) / 1000)
    if facts.job.status != "RETRYING":
        return _because("later", f"it is due in {left}")
    error = _error(facts.job)
    if facts.unknown_handler:
        text = f"no runner could take it: {error}; it is tried again in {left}"
        return _because("unknown_handler", f"{text}, in case one has that handler by then")
    return _because("later", f"its next attempt is due in {left}; the last one ended with: {error}")


def _locked(facts: Facts) -> _Answer | None:
    if facts.lock_holder is None:
        return None
    text = f"it is locked by {facts.lock_holder}, an orchestrator of another implementation"
    if facts.lock_ms is None:
        text = f"{text}, and the lock has no end"
        return _because("locked", f"{text}: where that is gone, delete the key {facts.lock_key}", stuck=True)
    return _because("locked", f"{text}; if that is gone, the lock ends in {duration(facts.lock_ms / 1000)}")


def _not_served(facts: Facts) -> _Answer | None:
    live = [each for each in facts.orchestrators if each.state == "live"]
    if not live:
        gone = sum(each.state in ("lapsed", "reaping") for each in facts.orchestrators)
        silent = f"; {plural(gone, 'orchestrator')} stopped telling of {_itself(gone)}" if gone else ""
        return _because("no_orchestrator", f"no orchestrator lives{silent}", *_START, stuck=True)
    serving = _serving(facts)
    if serving:
        return None
    queue = facts.job.queue_name
    if any(queue in each.queues for each in live):
        return _because("stopping", f"the orchestrators of queue {queue} are stopping", *_START, stuck=True)
    text = f"{plural(len(live), 'orchestrator')} live, and none serves queue {queue}"
    text = text.replace("orchestrator live", "orchestrator lives")
    return _because("not_served", text, "worker", "run", "--queue", queue or "", stuck=True)


def _itself(count: int) -> str:
    return "itself" if count == 1 else "themselves"


def _serving(facts: Facts) -> list[OrchestratorInfo]:
    """Return who serves the job's queue; one that reports no queues is taken to serve all."""
    return [
        each
        for each in facts.orchestrators
        if each.state == "live"
        and each.status != "stopping"
        and (not each.queues or facts.job.queue_name in each.queues)
    ]


def _no_runner(facts: Facts) -> _Answer | None:
    serving = _serving(facts)
    if any(each.runners is None for each in serving):
        return None  # it does not tell, as those of the public line
    found = _runners(facts)
    name = facts.runner
    if not found:
        text = f"it goes to runner {name}, which no orchestrator of its queue has: add [rrq.runners.{name}]"
        return _because("no_runner", f"{text} to their settings", stuck=True)
    if all(each.state == "broken" for each in found):
        text = f"runner {name} is broken: its processes do not start{_last_words(found)}"
        return _because("runner_broken", text, "check", stuck=True)
    if all(not each.capacity for each in found):
        text = f"runner {name} has no process yet that takes jobs{_last_words(found)}"
        return _because("runner_starting", text)
    if all(each.free == 0 for each in found):
        slots = sum(each.capacity or 0 for each in found)
        held = "its slot holds" if slots == 1 else f"all of {slots:,} slots hold"
        return _because("runner_full", f"runner {name} is full: {held} a job; {_ahead(facts)}")
    return None


def _last_words(runners: Sequence[RunnerInfo]) -> str:
    """Return what the latest of their processes ended with, in one line, for the end of a sentence."""
    told = [each for each in runners if each.last_error and each.last_error.strip()]
    if not told:
        return ""
    newest = max(told, key=lambda each: each.last_error_at.timestamp() if each.last_error_at else 0.0)
    return f"; the last one: {(newest.last_error or '').strip().splitlines()[0]}"


def _limited(facts: Facts) -> _Answer | None:
    """Find orchestrators whose runner has room, and that may not use it."""
    able = [
        each
        for each in _serving(facts)
        if each.runners is None
        or any(runner.name == facts.runner and runner.free != 0 for runner in each.runners)
    ]
    if not able or not all(_at_limit(each) for each in able):
        return None
    most = sum(each.concurrency_limit or 0 for each in able)
    whose = "its orchestrator runs" if len(able) == 1 else f"its {len(able)} orchestrators run"
    text = f"{whose} as many jobs as worker_concurrency allows, {most}; {_ahead(facts)}"
    return _because("limited", text)


def _at_limit(orchestrator: OrchestratorInfo) -> bool:
    """Return whether it runs as many jobs as it may, be that fewer than its runners have slots."""
    limit = orchestrator.concurrency_limit or 0
    slots = sum(runner.capacity or 0 for runner in orchestrator.runners or ())
    fewer = orchestrator.runners is None or limit < slots
    return limit > 0 and fewer and orchestrator.active_jobs >= limit


def _runners(facts: Facts) -> list[RunnerInfo]:
    return [
        runner for each in _serving(facts) for runner in each.runners or () if runner.name == facts.runner
    ]


def _ahead(facts: Facts) -> str:
    count = plural(facts.before, "job") if facts.before else "no job"
    text = f"{count} of its queue {'is' if facts.before < 2 else 'are'} due before it"
    if not facts.outranked:
        return text
    others = ", ".join(f"{queue} ({number:,} due)" for queue, number in facts.outranked)
    return f"{text}, and by worker.strict these queues come first: {others}"


def _turn(facts: Facts) -> _Answer | None:
    if facts.before or facts.outranked:
        return _because("behind", f"it is due, and {_ahead(facts)}{_alone(facts)}")
    if facts.suspect:
        return _because("next", f"it is the next of its queue{_alone(facts)}")
    return _because("next", "it is the next of its queue and may start at any moment")


_START = ("worker", "run")
_RULES: tuple[Callable[[Facts], _Answer | None], ...] = (
    _broken, _ended, _running, _not_queued, _paused, _later, _locked, _not_served, _no_runner, _limited, _turn
)  # fmt: skip
