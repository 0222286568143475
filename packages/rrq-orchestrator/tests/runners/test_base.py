"""The interface tells what went wrong in words and fields."""

from random import Random

import pytest

from rrq_orchestrator.runners.base import LostCause, NoCapacity
from rrq_orchestrator.runners.factory import make_runners
from rrq_protocol import RunnerConfig, Settings
from support.runner_pools import Recorder, capturing_log, fake_command

pytestmark = pytest.mark.anyio


def test_no_capacity_names_the_runner() -> None:
    """The error carries the runner's name."""
    error = NoCapacity("python")
    assert error.runner == "python"
    assert "'python'" in str(error)


def test_causes_are_texts() -> None:
    """Causes are what logs and records show."""
    assert [str(cause) for cause in LostCause] == ["crashed", "protocol", "blocked", "unproven", "stopped"]


async def test_make_runners_makes_one_per_name_and_starts_nothing() -> None:
    """Every configured name has a runner, which has no process until it runs."""
    configs = {name: RunnerConfig(cmd=fake_command(), pool_size=1) for name in ("a", "b")}
    runners = make_runners(Settings(runners=configs), Recorder(), log=capturing_log()[0], random=Random(1))
    assert list(runners) == ["a", "b"]
    for name, runner in runners.items():
        assert runner.name == name
        assert (runner.free, runner.capacity, runner.state, runner.pids()) == (0, 0, "starting", [])
