"""Orchestrators on 80 columns."""

from collections.abc import Callable

from rrq_cli.shapes import Drained, OrchestratorInfo, RunnerInfo
from rrq_cli.views.orchestrators import show_drained, show_orchestrators
from support.cli import HOSTILE

Show = Callable[..., str]


def test_orchestrators_and_their_runners(shown_at_80: Show) -> None:
    """One line each, then one per runner; hostile reports are harmless."""
    found = [
        OrchestratorInfo(
            id="rrq_worker_web-1_77_" + "a" * 32,
            state="live",
            lease_seconds_left=9.0,
            active_jobs=2,
            concurrency_limit=8,
            queues=["default", "media"],
            host="web-1",
            pid=77,
            runners=[RunnerInfo(name="python", state="ready", capacity=8, free=6)],
        ),
        OrchestratorInfo(id="w2", state="lapsed", lease_seconds_left=-90.0, problem="no health report"),
    ]
    text = shown_at_80(show_orchestrators, found)
    assert "Runner  State  Slots  Free  Orchestrator\n" in text
    assert "python  ready      8     6  web-1:77\n" in text
    assert "! w2: no health report\n" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    hostile = [OrchestratorInfo(id=HOSTILE, state="live", runners=[RunnerInfo(name=HOSTILE, state=HOSTILE)])]
    assert {char for char in shown_at_80(show_orchestrators, hostile) if not char.isprintable()} == {"\n"}
    assert shown_at_80(show_orchestrators, []) == "No orchestrator is known.\n"


def test_who_was_asked(shown_at_80: Show) -> None:
    """One line each, and how many of them where there are several."""
    drained = [
        Drained(id="a", result="asked"),
        Drained(id="b", result="asked", gone=True),
        Drained(id="c", result="asked", gone=False),
        Drained(id="d", result="lapsed"),
        Drained(id="e", result="unknown"),
    ]
    assert shown_at_80(show_drained, drained) == (
        "a was asked to stop\n"
        "b has left\n"
        "c was asked to stop and has not left yet\n"
        "d has a lease that is past: it died, hangs, or lost Redis; nobody was asked\n"
        "e has no lease; nobody was asked\n"
        "3 orchestrators of 5 asked\n"
    )
