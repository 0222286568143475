"""Settings that cannot work are refused before anything starts, all at once."""

from random import Random
from typing import Any

import pytest

from rrq_orchestrator.runners.factory import make_runners, runner_factory
from rrq_orchestrator.runners.in_process import InProcessRunner
from rrq_protocol import RunnerConfig, Settings, SettingsError
from support.runner_pools import Recorder, capturing_log

pytestmark = pytest.mark.anyio


async def problems(**runners: RunnerConfig) -> tuple[str, ...]:
    """Return what is wrong with these runners."""
    with pytest.raises(SettingsError) as caught:
        make_runners(Settings(runners=runners), Recorder(), log=capturing_log()[0], random=Random(1))
    return caught.value.problems


async def test_every_finding_is_listed_with_its_key() -> None:
    """Each unusable runner is one line that begins with its key path."""
    found = await problems(
        nothing=RunnerConfig(),
        remote=RunnerConfig(cmd=("x",), tcp_socket="example.org:9000"),
        high=RunnerConfig(cmd=("x",), tcp_port=65535, pool_size=2),
        pipes=RunnerConfig(mode="external", type="stdio"),
        nowhere=RunnerConfig(mode="external"),
    )
    assert [line.partition(": ")[0] for line in found] == [
        "rrq.runners.nothing",
        "rrq.runners.remote",
        "rrq.runners.high",
        "rrq.runners.pipes",
        "rrq.runners.nowhere",
    ]
    text = "\n".join(found)
    for said in ("`app", "loopback", "no room for 2", "stdio", "tcp_socket"):
        assert said in text


async def test_the_general_mode_applies_to_runners_without_one() -> None:
    """`runner_management_mode = "external"` makes runners external that set no mode."""
    settings = Settings(
        runner_management_mode="external",
        runners={
            "given": RunnerConfig(tcp_socket="runner.internal:9000", allowed_hosts=("runner.internal",)),
            "managed": RunnerConfig(mode="managed", cmd=("x",)),
        },
    )
    runners = make_runners(settings, Recorder(), log=capturing_log()[0], random=Random(1))
    assert set(runners) == {"given", "managed"}


async def _execute(request: Any) -> Any:
    return None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"python": _execute}, "runners\\['python'\\]: expected an InProcessRunner, .* got function"),
        (InProcessRunner(_execute), "expected a mapping of names to InProcessRunner, .* got InProcessRunner"),
        (_execute, "expected a mapping .* got one that returns coroutine"),
        ([], "expected a mapping .* got list"),
    ],
)
def test_what_is_no_runner_is_refused(given: Any, problem: str) -> None:
    """Before anything starts, with what was expected and what came."""
    log = capturing_log()[0]
    with pytest.raises(TypeError, match=problem):
        runner_factory(Settings(), given, log=log, random=Random(1))(Recorder())


@pytest.mark.parametrize("name", ["", "a#b", "a b", "x" * 129, 3])
def test_names_are_those_of_the_settings_file(name: Any) -> None:
    """A job could not be sent to another."""
    given = {name: InProcessRunner(_execute)}
    with pytest.raises(SettingsError, match="is not a valid runner name: expected 1 to 128 characters"):
        runner_factory(Settings(), given, log=capturing_log()[0], random=Random(1))
