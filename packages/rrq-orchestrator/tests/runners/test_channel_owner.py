"""Whoever holds a channel is told once that the peer is a runner."""

from typing import Any

import pytest

from rrq_orchestrator.runners.channel import Channel
from rrq_orchestrator.runners.channel_owner import ChannelLimits
from support.runner_pools import capturing_log

pytestmark = pytest.mark.anyio


class Owner:
    """Notes what it is told; see ChannelOwner."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.told.append(name)


def framed(text: str) -> bytes:
    """Return a frame."""
    return len(text).to_bytes(4, "big") + text.encode()


async def test_the_first_valid_message_is_the_proof() -> None:
    """A message that cannot be understood is none; a second valid one changes nothing."""
    owner: Any = Owner()
    channel = Channel(owner, capturing_log()[0], limits=ChannelLimits())
    channel.data_received(framed("nonsense"))
    assert (owner.told, channel.proven) == ([], False)
    channel.data_received(
        framed('{"type":"hello","payload":{"runtime":"any","version":"1","handlers":[]}}') * 2
    )
    assert (owner.told, channel.proven) == (["proved", "greeted", "greeted"], True)
    channel.close()
