"""Settings that cannot work are refused before anything starts, all at once."""

from random import Random

import pytest

from rrq_orchestrator.runners.factory import make_runners
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
