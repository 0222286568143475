"""Whether orchestrators are well, judged by their leases and by what they report of their runners. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rrq_cli.shapes import OrchestratorInfo, RunnerInfo
from rrq_cli.words import plural

if TYPE_CHECKING:
    from rrq_protocol.settings import CronTarget

__all__ = ["judge", "judge_cron"]

_FULL_OUTBOX = 10_000
"""Where an orchestrator stops to claim (its settle.py)."""
_ERROR_CHARS = 400


def judge(found: Sequence[OrchestratorInfo], *, start: str) -> tuple[list[str], list[str]]:
    """Return why jobs wait for nothing (empty: all is well), and what else is worth a look.

    An orchestrator that reports nothing of its runners, as those of the public line, is taken to be able to
    execute. A runner is a reason where no orchestrator can use it, and a remark where another one can.

    Args:
        found: Every orchestrator with a lease row or a reaping row.
        start: The command that starts one.
    """
    remarks = [*_leases(found)]
    live = [each for each in found if each.state == "live"]
    if not live:
        return [f"no live orchestrator: jobs wait until one runs; start one with `{start}`"], remarks
    serving = [each for each in live if _why_idle(each) is None]
    leaving = [f"{each.id} {_why_idle(each)}" for each in live if each not in serving]
    if not serving:
        return [f"{text}; start another one with `{start}`" for text in leaving], remarks
    reasons: list[str] = []
    remarks += leaving
    able = {runner.name for each in serving for runner in each.runners or () if _trouble(runner) is None}
    unknown = any(each.runners is None for each in serving)
    for each in serving:
        if each.runners == []:
            text = f"{each.id} has no runner, so it executes nothing: add one to its settings"
            (remarks if unknown or able else reasons).append(text)
        for runner in each.runners or ():
            if (trouble := _trouble(runner)) is not None:
                text = f"runner {runner.name} of {each.id} {trouble}"
                (remarks if runner.name in able else reasons).append(text)
            elif isinstance(runner.stale, int):
                remarks.append(_stale(runner, runner.stale, each.id))
    return reasons, remarks


def judge_cron(targets: "Sequence[CronTarget]", found: Sequence[OrchestratorInfo]) -> Iterator[str]:
    """Yield a remark for each cron entry whose jobs no live orchestrator executes.

    Nothing is said where none lives, nor about the runners of one that does not report them.

    Args:
        targets: Where the jobs of the entries in the settings go.
        found: Every orchestrator, its queues by their bare names.
    """
    live = [each for each in found if each.state == "live"]
    for target in targets if live else ():
        serving = [each for each in live if target.queue in each.queues]
        known = [each.runners for each in serving]
        if not serving:
            yield (
                f"cron entry {target.name}: no live orchestrator serves its queue {target.queue}, so its "
                "jobs wait"
            )
        elif target.runner is not None and all(
            runners is not None and target.runner not in (each.name for each in runners) for runners in known
        ):
            yield (
                f"cron entry {target.name}: no live orchestrator that serves {target.queue} has its runner "
                f"{target.runner}, so its jobs go to the dead letters"
            )


def _leases(found: Sequence[OrchestratorInfo]) -> Iterator[str]:
    for each in found:
        if each.state == "lapsed":
            yield f"the lease of {each.id} is past: it died, hangs, or lost Redis"
        elif each.state == "stray":
            yield f"the lease of {each.id} never ends: no orchestrator wrote it; the next one clears it away"


def _why_idle(each: OrchestratorInfo) -> str | None:
    """Return why a live orchestrator claims nothing, whatever its runners do; as its ``/readyz`` would."""
    if each.status == "stopping":
        return "is stopping and claims nothing more"
    if each.outbox is not None and each.outbox >= _FULL_OUTBOX:
        return f"holds {each.outbox} ends of jobs that Redis does not know, and claims nothing until it does"
    if each.status == "disconnected":
        return "said that it cannot write to Redis"
    if each.refused:
        return f"is refused by Redis what jobs need: {_cut(each.refused)}"
    return None


def _stale(runner: RunnerInfo, stale: int, orchestrator: str) -> str:
    text = f"runner {runner.name} of {orchestrator} works on with {plural(stale, 'process', 'processes')}"
    text += " that should have been replaced: what replaces them does not start"
    return f"{text}: {_cut(runner.last_error)}" if runner.last_error else text


def _cut(error: str) -> str:
    return error if len(error) <= _ERROR_CHARS else f"{error[:_ERROR_CHARS]}…"


def _trouble(runner: RunnerInfo) -> str | None:
    """Return why a runner takes no jobs, None where it does or nothing is known."""
    if runner.state == "broken":
        if runner.last_error:
            return f"is broken: {_cut(runner.last_error)}"
        return "is broken: its processes do not start; its log says why"
    if runner.capacity == 0:
        return f"takes no jobs: it is {runner.state or 'without a process'}"
    return None
