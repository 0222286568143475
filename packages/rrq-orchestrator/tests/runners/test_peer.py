"""One process of a pool, from its start to its end, on its own."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest

from rrq_orchestrator.runners.base import LostCause
from rrq_orchestrator.runners.endpoints import Endpoints
from rrq_orchestrator.runners.peer import Peer
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.process import StartFailed
from rrq_protocol import RunnerConfig, WireOutcome
from support.runner_pools import capturing_log, fake_command, is_gone, make_request

pytestmark = pytest.mark.anyio


made: list[Endpoints] = []


@pytest.fixture(autouse=True)
def no_folder_left() -> Iterator[None]:
    """Remove the folders of the peers a test made."""
    yield
    while made:
        made.pop().close()


class Home:
    """Notes what a peer tells its pool."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def answered(self, peer: Peer, outcome: WireOutcome) -> None:
        """Note it."""
        peer.load -= 1
        self.notes.append(f"answered {outcome.request_id}")
        peer.emptied()

    def unanswerable(self, peer: Peer, request_id: str, detail: str) -> None:
        """Note it."""
        self.notes.append(f"unanswerable {request_id}")

    def overdue(self, peer: Peer, request_id: str, detail: str) -> None:
        """Note it."""
        self.notes.append(f"overdue {request_id}")

    def silent(self, peer: Peer, seconds: float) -> None:
        """Note it."""
        self.notes.append("silent")

    def heard(self, peer: Peer, seconds: float) -> None:
        """Note it."""
        self.notes.append("heard")

    def proved(self, peer: Peer) -> None:
        """It said something that is of the protocol: what every peer here does."""

    def limit_changed(self, peer: Peer, limit: int) -> None:
        """Note it."""
        peer.limit = limit
        self.notes.append(f"limit {limit}")

    def departing(self, peer: Peer) -> None:
        """Note it."""
        self.notes.append("departing")


def make_peer(home: Home, how: str = "serve", **config: object) -> Peer:
    """Return a peer that was not started yet."""
    runner = msgspec.convert({"cmd": fake_command(how), "max_in_flight": 4, **config}, RunnerConfig)
    endpoints = Endpoints("fake", runner, external=False)
    made.append(endpoints)
    plan = PoolPlan(runner, False, True, 10.0, 0.2, 0.2, endpoints, Random(1))
    return Peer(home, plan, capturing_log()[0], 0)


async def test_a_peer_serves_and_is_destroyed() -> None:
    """It opens, answers, and leaves no process; destroying it again is harmless."""
    home = Home()
    peer = make_peer(home)
    await peer.open()
    assert peer.process is not None
    assert (peer.resident_bytes() or 0) > 1024 * 1024
    peer.load = 1
    peer.channel.request(make_request("r1"))
    await peer.reached(lambda: not peer.load)
    assert home.notes == ["answered r1"]
    await peer.destroy()
    await peer.destroy()
    assert is_gone(peer.process.pid)
    assert peer.resident_bytes() is None


async def test_a_recycled_peer_goes_on_until_retired() -> None:
    """Asked to depart for recycling it still takes requests; everything else stops that at once, and once."""
    home = Home()
    peer = make_peer(home)
    await peer.open()
    peer.depart("recycle")
    assert (peer.departure, peer.draining, home.notes) == ("recycle", False, [])
    peer.retire()
    peer.quarantine()
    assert (peer.departure, peer.draining, peer.urgent) == ("recycle", True, True)
    assert home.notes == ["departing"]
    peer.depart("stop")
    assert peer.departure == "stop"
    await peer.destroy()


async def test_the_end_of_the_process_is_told_with_its_code() -> None:
    """After it ended, how is known in words; what is outstanding stays for the pool to report."""
    home = Home()
    peer = make_peer(home)
    await peer.open()
    peer.channel.request(make_request("r1", "exit", code=6))
    await peer.reached(lambda: peer.over)
    await peer.settle()
    assert peer.end_text() == "exited with code 6"
    assert peer.cause is LostCause.CRASHED
    assert peer.channel.close() == ("r1",)
    await peer.destroy()


async def test_a_peer_that_breaks_the_protocol_says_how() -> None:
    """The detail is the violation, though the process ends as well."""
    home = Home()
    peer = make_peer(home)
    await peer.open()
    peer.channel.request(make_request("r1", "raw", hex="00000000"))
    await peer.reached(lambda: peer.over)
    await peer.settle()
    assert peer.cause is LostCause.PROTOCOL
    assert peer.end_text().startswith("broke the protocol")
    await peer.destroy()


async def test_a_hello_below_the_limit_counts() -> None:
    """A wish for fewer requests reaches the pool, one for more does not."""
    for how, notes in (("hello=2", ["limit 2"]), ("hello=9", [])):
        home = Home()
        peer = make_peer(home, how)
        await peer.open()
        peer.channel.request(make_request("r1"))
        peer.load = 1
        await peer.reached(lambda peer=peer: not peer.load)  # type: ignore[misc]
        assert home.notes == [*notes, "answered r1"]
        await peer.destroy()


async def test_a_peer_that_does_not_start_can_be_destroyed() -> None:
    """A failed start raises; destroying what there is leaves nothing."""
    peer = make_peer(Home(), "exit0")
    with pytest.raises(StartFailed):
        await peer.open()
    await peer.destroy()
    missing = make_peer(Home(), cmd=("no-such-program",))
    with pytest.raises(StartFailed):
        await missing.open()
    await missing.destroy()
