"""What is written while the connection ends."""

import asyncio
import socket
from typing import Any

import anyio
import pytest

from rrq_orchestrator.runners import LostCause
from rrq_orchestrator.runners.channel import Channel
from support.runner_pools import PATIENCE_S, capturing_log, make_request

pytestmark = pytest.mark.anyio


class Owner:
    """Waits for the end; nothing else is told."""

    def __init__(self) -> None:
        self.causes: list[LostCause] = []
        self.told = anyio.Event()

    def ended(self, cause: LostCause, _detail: str) -> None:
        """Keep it."""
        self.causes.append(cause)
        self.told.set()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": use}) for use in (False, True)])
async def test_a_request_to_a_connection_just_lost_is_lost_with_it() -> None:
    """The transport is closed when its turn to write comes, and nobody has been told yet: no error escapes,
    the end is told once, and the request is among those without an answer.
    """
    loop, escaped = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    ours, theirs = socket.socketpair()
    owner = Owner()
    channel = Channel(owner, capturing_log()[0])
    with theirs:
        transport, _ = await loop.create_unix_connection(lambda: channel, sock=ours)
        transport.abort()
        channel.request(make_request("r1"))
        with anyio.fail_after(PATIENCE_S):
            await owner.told.wait()
        await anyio.lowlevel.checkpoint()
    assert escaped == []
    assert owner.causes == [LostCause.CRASHED]
    assert channel.close() == ("r1",)
