"""What a hostile or broken peer sends, or does not send, ends at the connection and at the requests it
held."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from structlog.testing import LogCapture

from rrq_orchestrator.runners import LostCause
from rrq_orchestrator.runners.channel import Channel, ChannelLimits
from rrq_protocol import FrameTooLarge, Hello, ProtocolError, WireOutcome
from support.runner_pools import PATIENCE_S, Recorder, bench, capturing_log, fake_command, make_request

pytestmark = pytest.mark.anyio


def frame(text: str) -> bytes:
    """Return a text as a frame."""
    body = text.encode()
    return len(body).to_bytes(4, "big") + body


def response(request_id: str, job_id: str | None = None) -> bytes:
    """Return the frame of a success."""
    job_id = job_id or f"job-{request_id}"
    ids = f'"request_id":"{request_id}","job_id":"{job_id}"'
    return frame(f'{{"type":"response","payload":{{{ids},"status":"success"}}}}')


class Owner:
    """Keeps what a channel tells."""

    def __init__(self) -> None:
        self.answers: list[str | None] = []
        self.hellos: list[Hello] = []
        self.problems: list[tuple[str, str]] = []
        self.end: tuple[LostCause, str] | None = None
        self.told = anyio.Event()

    def answered(self, outcome: WireOutcome) -> None:
        """Keep it."""
        self.answers.append(outcome.request_id)
        self._tell()

    def proved(self) -> None:
        """See ChannelOwner."""

    def greeted(self, hello: Hello) -> None:
        """Keep it."""
        self.hellos.append(hello)
        self._tell()

    def unanswerable(self, request_id: str, detail: str) -> None:
        """Keep it."""
        self.problems.append((request_id, detail))
        self._tell()

    def overdue(self, request_id: str, detail: str) -> None:
        """Keep it."""
        self.unanswerable(request_id, detail)

    def silent(self, seconds: float) -> None:
        """Nobody is pinged here."""
        raise AssertionError(seconds)

    def heard(self, seconds: float) -> None:
        """Nor heard again."""
        raise AssertionError(seconds)

    def ended(self, cause: LostCause, detail: str) -> None:
        """Keep it, once."""
        assert self.end is None
        self.end = (cause, detail)
        self._tell()

    def _tell(self) -> None:
        self.told.set()
        self.told = anyio.Event()

    async def until_ended(self) -> tuple[LostCause, str]:
        """Wait for the end."""
        with anyio.fail_after(PATIENCE_S):
            while self.end is None:
                await self.told.wait()
        return self.end


class Wire:
    """A channel, its owner, and the peer's end of its socket."""

    def __init__(self, channel: Channel, owner: Owner, peer: socket.socket, logs: LogCapture) -> None:
        self.channel, self.owner, self.peer, self.logs = channel, owner, peer, logs

    async def say(self, data: bytes) -> None:
        """Send as the peer."""
        await asyncio.get_running_loop().sock_sendall(self.peer, data)

    async def hear(self) -> bytes:
        """Receive as the peer."""
        return await asyncio.get_running_loop().sock_recv(self.peer, 1 << 20)

    async def answers(self, count: int) -> list[str | None]:
        """Wait for so many answers."""
        with anyio.fail_after(PATIENCE_S):
            while len(self.owner.answers) < count:
                await self.owner.told.wait()
        return self.owner.answers


@asynccontextmanager
async def wire(limits: ChannelLimits | None = None) -> AsyncIterator[Wire]:
    """Connect a channel to a socket the test holds."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    owner = Owner()
    log, logs = capturing_log()
    channel = Channel(owner, log, limits=limits)
    await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=ours)
    with theirs:
        try:
            yield Wire(channel, owner, theirs, logs)
        finally:
            channel.close()
            await anyio.lowlevel.checkpoint()


async def test_requests_of_one_turn_leave_in_one_write() -> None:
    """Frames written in the same turn of the loop arrive together, in order."""
    async with wire() as line:
        for number in range(10):
            line.channel.request(make_request(f"r{number}"))
        data = await line.hear()
        positions = [data.index(b'"r%d"' % number) for number in range(10)]
        assert positions == sorted(positions)


async def test_answers_in_any_order_and_split() -> None:
    """Responses are matched by request id, whatever their order and however the bytes come."""
    async with wire() as line:
        for name in ("a", "b", "c"):
            line.channel.request(make_request(name))
        for byte in response("c") + response("a"):
            await line.say(bytes([byte]))
            await anyio.lowlevel.checkpoint()
        await line.say(response("b"))
        assert await line.answers(3) == ["c", "a", "b"]
        assert not line.channel.outstanding


async def test_an_oversized_request_is_not_opened() -> None:
    """A request over the limit leaves nothing outstanding; a used id is refused."""
    async with wire() as line:
        with pytest.raises(FrameTooLarge):
            line.channel.request(make_request("big", text="x" * (16 * 1024 * 1024)))
        line.channel.request(make_request("a"))
        with pytest.raises(ProtocolError):
            line.channel.request(make_request("a"))
        assert list(line.channel.outstanding) == ["a"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes.fromhex("16030100f8010000f40303") + bytes(64),
        b"\x00\x00\x00\x00",
        b"\x80\x00\x00\x00",
        b"\xff\xff\xff\xff",
    ],
    ids=["http", "tls", "length 0", "length 2^31", "length 2^32-1"],
)
async def test_garbage_ends_the_connection(data: bytes) -> None:
    """What breaks the framing ends the connection as PROTOCOL; answers before it count (F62, F63)."""
    async with wire() as line:
        line.channel.request(make_request("a"))
        line.channel.request(make_request("b"))
        await line.say(response("a") + data)
        cause, detail = await line.owner.until_ended()
        assert cause is LostCause.PROTOCOL
        assert "broke the protocol" in detail
        assert line.owner.answers == ["a"]
        assert line.channel.close() == ("b",)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"type":"unknown","payload":{}}',
        '{"type":"response","payload":{"status":"odd"}}',
        "\udcff",
    ],
)
async def test_one_bad_message_harms_no_other(text: str) -> None:
    """A message that cannot be understood is logged; its neighbours are answered (F65, F68)."""
    async with wire() as line:
        line.channel.request(make_request("a"))
        line.channel.request(make_request("b"))
        body = text.encode("utf-8", "surrogateescape")
        await line.say(len(body).to_bytes(4, "big") + body + response("a"))
        assert await line.answers(1) == ["a"]
        assert [entry["event"] for entry in line.logs.entries] == ["runner.bad_message"]


@pytest.mark.parametrize(
    ("open_requests", "text"),
    [
        ("ab", '{"type":"response","payload":{"request_id":"a","status":"success","result":NaN}}'),
        ("ab", '{"type":"response","payload":{"request_id":"a","result":' + "[" * 9999 + "]" * 9999 + "}}"),
        ("ab", '{"type":"response","payload":{"request_id":"a","result":"\udcff"}}'),
        ("a", '{"type":"response","payload":{"status":"odd"}}'),
        ("a", '{"type":"resp'),
    ],
)
async def test_an_answer_that_is_not_strict_json_ends_its_request_at_once(
    open_requests: str, text: str
) -> None:
    """It is the one the answer names, as far as that can be read, else the only open one (F66, F67)."""
    async with wire() as line:
        for request_id in open_requests:
            line.channel.request(make_request(request_id))
        body = text.encode("utf-8", "surrogateescape")
        await line.say(len(body).to_bytes(4, "big") + body)
        await Recorder().until(lambda: line.owner.problems)
        ((request_id, detail),) = line.owner.problems
        assert request_id == "a"
        assert detail.startswith("broke the protocol: ")
        assert line.owner.end is None


async def test_an_answer_for_another_job_is_no_answer() -> None:
    """The right request id with the wrong job id ends that request alone, without a result (F71)."""
    async with wire() as line:
        line.channel.request(make_request("a"))
        line.channel.request(make_request("b"))
        await line.say(response("a", "job-of-another"))
        await Recorder().until(lambda: line.owner.problems)
        await line.say(response("a") + response("b"))
        assert await line.answers(1) == ["b"]
        ((request_id, detail),) = line.owner.problems
        assert request_id == "a"
        assert "job-of-another" in detail
        assert line.owner.end is None


async def test_duplicates_and_strays_are_dropped() -> None:
    """Second and foreign responses have no effect; too many in a row end the connection (F69, F70)."""
    async with wire(ChannelLimits(strays=5)) as line:
        line.channel.request(make_request("a"))
        line.channel.request(make_request("b"))
        await line.say(response("a") * 3 + response("nobody's") * 2 + response("b"))
        assert await line.answers(2) == ["a", "b"]
        await line.say(response("a") * 5)
        cause, detail = await line.owner.until_ended()
        assert cause is LostCause.PROTOCOL
        assert "5 responses in a row" in detail


async def test_endless_nonsense_ends_the_connection() -> None:
    """A peer that sends nothing but well-framed nonsense is replaced; few lines are logged for it."""
    async with wire(ChannelLimits(strays=50)) as line:
        await line.say(frame("nonsense") * 60)
        cause, _ = await line.owner.until_ended()
        assert cause is LostCause.PROTOCOL
        assert len(line.logs.entries) < 10


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    """Frames the peer does not take within the write deadline end the connection (F59)."""
    async with wire(ChannelLimits(write_s=0.1)) as line:
        line.channel.request(make_request("a", text="x" * (4 * 1024 * 1024)))
        cause, detail = await line.owner.until_ended()
        assert cause is LostCause.PROTOCOL
        assert "does not read" in detail
        assert line.channel.close() == ("a",)


async def test_a_slow_reader_is_not_given_up() -> None:
    """A peer that takes each frame within the deadline may be slow altogether."""
    async with wire(ChannelLimits(write_s=0.3)) as line:
        received = 0
        for name in ("a", "b", "c"):
            line.channel.request(make_request(name, text="x" * (1024 * 1024)))
            await anyio.sleep(0.15)
            while received < 1024 * 1024:
                received += len(await line.hear())
            received -= 1024 * 1024
        assert line.owner.end is None


async def test_a_message_that_drips_in_is_given_up() -> None:
    """A message must be complete within the frame deadline, however busy its bytes look (F61)."""
    async with wire(ChannelLimits(frame_s=0.2)) as line:
        line.channel.request(make_request("a"))
        for byte in response("a"):
            if line.owner.end is not None:
                break
            await line.say(bytes([byte]))
            await anyio.sleep(0.01)
        cause, detail = await line.owner.until_ended()
        assert cause is LostCause.PROTOCOL
        assert "did not complete a message" in detail


async def test_the_end_of_the_stream_in_a_message() -> None:
    """A peer that goes away in the middle of a message crashed; the detail says so."""
    async with wire() as line:
        line.channel.request(make_request("a"))
        await line.hear()
        await line.say(response("a")[:20])
        line.peer.close()
        cause, detail = await line.owner.until_ended()
        assert cause is LostCause.CRASHED
        assert "middle of a message" in detail


async def test_a_response_that_takes_too_long() -> None:
    """With a response timeout the oldest request without an answer is reported, answered ones are not."""
    async with wire(ChannelLimits(response_s=0.1)) as line:
        line.channel.request(make_request("quick"))
        line.channel.request(make_request("slow"))
        await line.say(response("quick"))
        await Recorder().until(lambda: line.owner.problems)
        ((request_id, detail),) = line.owner.problems
        assert request_id == "slow"
        assert "response_timeout_seconds" in detail


async def test_a_closed_channel_is_silent() -> None:
    """After closing, nothing is reported any more and closing again is harmless."""
    async with wire() as line:
        line.channel.request(make_request("a"))
        assert line.channel.close() == ("a",)
        assert line.channel.close() == ()
        line.channel.cancel("a", "job-a", False)
        line.peer.close()
        await anyio.sleep(0.05)
        assert line.owner.end is None
        assert line.owner.answers == []


async def test_a_deaf_process_is_replaced() -> None:
    """In a pool, a process that never reads is ended and replaced, and its requests are lost as PROTOCOL
    (F59)."""
    config = {"cmd": fake_command("deaf"), "response_timeout_seconds": 0.3, "max_in_flight": 2}
    async with bench(config) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("a")
        cause, _ = await pool.loss("a")
        assert cause is LostCause.PROTOCOL
        await pool.recorder.until(lambda: pool.runner.pids() not in ([], [old]) and pool.runner.free == 2)


@pytest.mark.parametrize(
    ("function", "params", "cause"),
    [
        ("raw", {"hex": b"HTTP/1.1 400 Bad Request\r\n\r\n".hex()}, LostCause.PROTOCOL),
        ("raw", {"hex": "ffffffff"}, LostCause.PROTOCOL),
        ("strays", {"count": 100}, LostCause.PROTOCOL),
        ("huge", {}, LostCause.PROTOCOL),
    ],
)
async def test_a_process_that_breaks_the_protocol_is_replaced(
    function: str, params: dict[str, object], cause: LostCause
) -> None:
    """In a pool, the process is ended and replaced, and only what it had not answered is lost (F62)."""
    async with bench() as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        assert await pool.result("before") == {}
        pool.submit("bad", function, **params)
        assert (await pool.loss("bad"))[0] is cause
        await pool.recorder.until(lambda: pool.runner.pids() not in ([], [old]) and pool.runner.free == 8)
        assert await pool.result("after") == {}


async def test_wrong_and_repeated_answers_of_a_process() -> None:
    """In a pool, a wrong answer loses its request alone, a repeated one has no effect, and the process
    stays."""
    async with bench() as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("wrong", "wrong_job")
        cause, detail = await pool.loss("wrong")
        assert cause is LostCause.PROTOCOL
        assert "another" in detail
        assert await pool.result("twice", "twice") is None
        assert await pool.result("after") == {}
        assert pool.runner.pids() == [old]
        assert pool.runner.free == 8
        assert isinstance(pool.recorder, Recorder)
