"""Whether orchestrators are well: by their leases, and by what they report of their runners."""

import msgspec
import pytest

from rrq_cli.shapes import OrchestratorInfo, RunnerInfo
from rrq_cli.verdict import judge, judge_cron
from rrq_protocol.settings import CronTarget


def _one(name: str = "w", state: str = "live", **more: object) -> OrchestratorInfo:
    return OrchestratorInfo(id=name, state=state, **more)  # type: ignore[arg-type]


READY = RunnerInfo(name="python", state="ready", capacity=4, free=2)
BROKEN = RunnerInfo(name="python", state="broken", capacity=0, free=0)
STARTING = RunnerInfo(name="python", state="starting", capacity=0, free=0)


def test_nobody_lives() -> None:
    """Without a live orchestrator jobs wait, and the command to start one is named; dead ones are remarks."""
    reasons, remarks = judge([_one(state="lapsed"), _one("v", "stray")], start="rrq worker run")
    assert len(reasons) == 1
    assert "`rrq worker run`" in reasons[0]
    assert ["lease of w is past" in remarks[0], "lease of v never ends" in remarks[1]] == [True, True]


@pytest.mark.parametrize("runners", [None, [READY], [RunnerInfo(name="odd")]])
def test_whoever_can_execute_is_well(runners: list[RunnerInfo] | None) -> None:
    """A runner that takes jobs, or an orchestrator that reports none, is nothing to worry about."""
    assert judge([_one(runners=runners)], start="") == ([], [])


@pytest.mark.parametrize(
    ("runner", "said"), [(BROKEN, "runner python of w is broken"), (STARTING, "it is starting")]
)
def test_the_only_runner_takes_no_jobs(runner: RunnerInfo, said: str) -> None:
    """The runner is named, and its jobs wait."""
    reasons, remarks = judge([_one(runners=[runner])], start="")
    assert (len(reasons), remarks) == (1, [])
    assert said in reasons[0]


@pytest.mark.parametrize("error", ["no module named 'shop'", "x" * 5000, None])
def test_processes_that_outlive_their_replacement_are_a_remark(error: str | None) -> None:
    """Jobs run, on old code: worth a look, with what keeps the new from starting."""
    stale = msgspec.structs.replace(READY, stale=2, last_error=error)
    reasons, (remark,) = judge([_one(runners=[stale])], start="")
    assert reasons == []
    assert remark.startswith("runner python of w works on with 2 processes that should have been replaced")
    assert (error or "")[:100] in remark
    assert len(remark) < 700
    # A last error alone says nothing of today.
    healed = msgspec.structs.replace(READY, last_error="no module")
    assert judge([_one(runners=[healed])], start="") == ([], [])


def test_no_runner_at_all_executes_nothing() -> None:
    """An orchestrator that says it has none is no help, alone."""
    reasons, _ = judge([_one(runners=[])], start="")
    assert "has no runner" in reasons[0]
    assert judge([_one(runners=[]), _one("v", runners=[READY])], start="")[0] == []


def test_another_orchestrator_can_use_it() -> None:
    """Broken here and ready there is a remark; a second runner that nobody can use is a reason."""
    found = [_one(runners=[BROKEN]), _one("v", runners=[READY])]
    reasons, remarks = judge(found, start="")
    assert (reasons, len(remarks)) == ([], 1)
    other = RunnerInfo(name="rust", state="broken", capacity=0)
    reasons, _ = judge([*found, _one("u", runners=[READY, other])], start="")
    assert ["runner rust of u" in each for each in reasons] == [True]


def test_one_that_stops_claims_nothing() -> None:
    """A stopping orchestrator alone is a reason, beside another one a remark."""
    stopping = _one(status="stopping", runners=[READY])
    assert "is stopping" in judge([stopping], start="rrq worker run")[0][0]
    reasons, remarks = judge([stopping, _one("v", runners=[READY])], start="")
    assert (reasons, len(remarks)) == ([], 1)


def test_a_broken_runner_says_why() -> None:
    """With the latest error it had, cut where somebody wrote a book."""
    why = RunnerInfo(name="python", state="broken", capacity=0, last_error="exited with 1: SyntaxError")
    (reason,) = judge([_one(runners=[why])], start="")[0]
    assert reason == "runner python of w is broken: exited with 1: SyntaxError"
    long = RunnerInfo(name="python", state="broken", capacity=0, last_error="x" * 100_000)
    assert len(judge([_one(runners=[long])], start="")[0][0]) < 1000


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"outbox": 10_000}, "holds 10000 ends of jobs"),
        ({"status": "disconnected"}, "cannot write to Redis"),
        ({"refused": "claim: NOPERM"}, "refused by Redis what jobs need: claim: NOPERM"),
    ],
)
def test_one_that_claims_nothing_is_no_help(facts: dict[str, object], said: str) -> None:
    """Alone it is a reason, as its own readiness says; beside one that claims, a remark."""
    idle = msgspec.structs.replace(_one(runners=[READY]), **facts)
    (reason,) = judge([idle], start="rrq worker run")[0]
    assert said in reason
    reasons, remarks = judge([idle, _one("v", runners=[READY])], start="")
    assert (reasons, len(remarks)) == ([], 1)


def test_a_few_ends_under_way_are_nothing() -> None:
    """A busy orchestrator always has some."""
    assert judge([_one(outbox=300, runners=[READY])], start="") == ([], [])


def test_cron_entries_that_nobody_executes_are_remarks() -> None:
    """A queue that no live orchestrator serves, and a runner that none of those has that serve it; nothing is
    said where nobody lives or the runners are not told."""
    lost, spook = CronTarget(0, "lost", "monitoring", None), CronTarget(1, "spook", "default", "ghost")
    targets = [CronTarget(2, "fine", "default", "python"), lost, spook]
    served = _one(queues=["default"], runners=[READY])
    dead = _one("v", "lapsed", queues=["monitoring"])
    first, second = judge_cron(targets, [served, dead])
    assert first.startswith("cron entry lost: no live orchestrator serves its queue monitoring")
    assert second.startswith(
        "cron entry spook: no live orchestrator that serves default has its runner ghost"
    )
    assert list(judge_cron(targets, [dead])) == []
    assert list(judge_cron([spook], [served, _one("x", queues=["default"])])) == []
