"""A quiet peer is asked for a sign of life; silence is told once, and its end."""

import time

import anyio
import anyio.lowlevel
import pytest

from rrq_orchestrator.runners.pulse import Pulse

pytestmark = pytest.mark.anyio

PATIENCE_S = 20.0


class Peer:
    """Counts what a pulse does to it."""

    def __init__(self, quiet_s: float = 0.02, limit_s: float = 0.05) -> None:
        self.open = True
        self.pings = 0
        self.answers = True
        self.told: list[str] = []
        self.pulse = Pulse(
            quiet_s, limit_s, wanted=lambda: self.open, ask=self.ask, silent=self.silent, heard=self.heard
        )

    def ask(self) -> None:
        self.pings += 1
        if self.answers:
            self.pulse.sign()

    def silent(self, seconds: float) -> None:
        assert seconds > 0
        self.told.append("silent")

    def heard(self, seconds: float) -> None:
        assert seconds > 0
        self.told.append("heard")

    async def until(self, count: int, what: str) -> None:
        with anyio.fail_after(PATIENCE_S):
            while (self.pings if what == "pings" else self.told.count(what)) < count:  # noqa: ASYNC110
                await anyio.sleep(0.005)


async def test_a_peer_that_answers_is_asked_again_and_not_told_of() -> None:
    """As long as it holds requests."""
    peer = Peer(limit_s=10.0)
    peer.pulse.expect()
    await peer.until(3, "pings")
    assert peer.told == []
    assert not peer.pulse.in_doubt
    peer.pulse.stop()


async def test_silence_is_told_once_and_so_is_its_end() -> None:
    """One event each, however long it lasts; afterwards it is asked again."""
    peer = Peer()
    peer.answers = False
    peer.pulse.expect()
    await peer.until(1, "silent")
    await anyio.sleep(0.1)
    assert peer.told == ["silent"]
    assert peer.pings == 1
    peer.answers = True
    peer.pulse.sign()
    assert peer.told == ["silent", "heard"]
    await peer.until(2, "pings")
    peer.pulse.stop()


async def test_a_peer_without_requests_is_left_alone() -> None:
    """Nothing is asked, and the timer rests until the next request."""
    peer = Peer()
    peer.open = False
    peer.pulse.expect()
    await anyio.sleep(0.1)
    assert peer.pings == 0
    peer.open = True
    peer.pulse.expect()
    await peer.until(1, "pings")
    peer.pulse.stop()


async def test_what_is_heard_spares_the_question() -> None:
    """Any sign starts the quiet time anew."""
    peer = Peer(quiet_s=0.3, limit_s=10.0)
    peer.pulse.expect()
    for _ in range(20):
        peer.pulse.sign()
        await anyio.sleep(0.005)
    assert peer.pings == 0
    peer.pulse.stop()


async def test_doubt_needs_a_moment() -> None:
    """A question just asked proves nothing."""
    peer = Peer(quiet_s=10.0, limit_s=10.0)
    peer.answers = False
    peer.pulse.ask()
    peer.pulse.ask()
    assert peer.pings == 1
    assert not _doubted(peer)
    with anyio.fail_after(PATIENCE_S):
        while not _doubted(peer):  # noqa: ASYNC110 - time alone changes it
            await anyio.sleep(0.01)
    peer.pulse.sign()
    assert not _doubted(peer)


def _doubted(peer: Peer) -> bool:
    return peer.pulse.in_doubt


async def test_time_in_which_we_did_not_run_is_forgiven() -> None:
    """After a stop of this process the peer gets a moment, for its answer may be waiting unread."""
    peer = Peer(quiet_s=0.02, limit_s=0.05)
    peer.answers = False
    peer.pulse.expect()
    await peer.until(1, "pings")
    time.sleep(1.2)  # noqa: ASYNC251 - that is what is tested
    await anyio.lowlevel.checkpoint()
    assert peer.told == []
    peer.pulse.sign()
    peer.pulse.stop()
    assert peer.told == []
