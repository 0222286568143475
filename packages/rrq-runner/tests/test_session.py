"""One connection: what is read becomes executions, what they answer is written in few pieces."""

import asyncio
import logging
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from rrq_protocol import (
    BadMessage,
    ErrorType,
    Hello,
    HelloReceived,
    OrchestratorConnection,
    OutcomeReceived,
    Ping,
    PongReceived,
    RunnerConnection,
)
from rrq_runner.engine import Engine
from rrq_runner.registry import Registry
from rrq_runner.session import Session
from support.runners import execution_request, wire_request

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    """Remembers what a session does to its transport."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.did: list[str] = []
        self.written = asyncio.Event()

    def write(self, data: Any) -> None:
        """Remember one write."""
        self.writes.append(bytes(data))
        self.written.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered here."""

    def is_closing(self) -> bool:
        """Return True once closed."""
        return bool({"close", "abort"} & set(self.did))

    def close(self) -> None:
        """Remember it."""
        self.did.append("close")

    def abort(self) -> None:
        """Remember it."""
        self.did.append("abort")

    def pause_reading(self) -> None:
        """Remember it."""
        self.did.append("pause_reading")

    def resume_reading(self) -> None:
        """Remember it."""
        self.did.append("resume_reading")


class Bench:
    """A session between a remembered wire and handlers, and the orchestrator's end."""

    def __init__(self, *, max_in_flight: int | None = None, **options: Any) -> None:
        registry = Registry()
        self.release = asyncio.Event()

        @registry.handler
        async def echo(value: int = 0) -> int:
            return value

        @registry.handler
        async def wait() -> str:
            await self.release.wait()
            return "waited"

        @registry.handler
        async def nonsense() -> object:
            return {"a": float("nan")}

        @registry.handler
        async def explosive() -> object:
            return datetime(2026, 1, 31, tzinfo=Explosive(RuntimeError("no such place")))

        @registry.handler
        async def leaving() -> object:
            return datetime(2026, 1, 31, tzinfo=Explosive(SystemExit(3)))

        self.engine = Engine(registry)
        self.session = Session(self.engine, RunnerConnection("length", max_in_flight), **options)
        self.wire = Wire()
        self.session.connection_made(self.wire)
        self.peer = OrchestratorConnection()

    def frames(self, name: str, count: int = 1, **params: Any) -> bytes:
        """Return the bytes of some requests."""
        return b"".join(
            self.peer.request(wire_request(execution_request(name, params))) for _ in range(count)
        )

    def events(self) -> list[Any]:
        """Return what the orchestrator makes of everything written since the last call."""
        data = b"".join(self.wire.writes)
        self.wire.writes.clear()
        return self.peer.receive(data)

    async def settled(self) -> None:
        """Wait until every handler has ended and its answer is written."""
        await self.engine.wait_idle()
        await asyncio.sleep(0)


class Explosive(tzinfo):
    """Fails inside of the encoder with an error of no usual kind."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def dst(self, when: datetime | None) -> None:
        """Have none."""

    def tzname(self, when: datetime | None) -> None:
        """Have none."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Raise what nobody expects of a time zone."""
        raise self.error


async def test_responses_of_one_turn_leave_in_one_write() -> None:
    """A hundred requests that come together are answered together."""
    bench = Bench()
    bench.session.data_received(bench.frames("echo", 100, value=7))
    await bench.settled()
    assert len(bench.wire.writes) == 1
    events = bench.events()
    assert len(events) == 100
    assert all(isinstance(each, OutcomeReceived) and bytes(each.outcome.result) == b"7" for each in events)


async def test_later_answers_follow_when_they_are_ready() -> None:
    """A handler that waits holds up nobody."""
    bench = Bench()
    bench.session.data_received(bench.frames("wait") + bench.frames("echo"))
    await asyncio.wait_for(bench.wire.written.wait(), 10)
    assert [bytes(each.outcome.result) for each in bench.events()] == [b"0"]
    bench.release.set()
    await bench.settled()
    assert [bytes(each.outcome.result) for each in bench.events()] == [b'"waited"']


async def test_bytes_may_come_one_at_a_time() -> None:
    """However the stream is split, the request is one."""
    bench = Bench()
    for byte in bench.frames("echo", value=3):
        bench.session.data_received(bytes([byte]))
    await bench.settled()
    assert [bytes(each.outcome.result) for each in bench.events()] == [b"3"]


async def test_the_introduction_comes_first() -> None:
    """Where the extension was offered, the first frame says what the runner is."""
    bench = Bench(hello=Hello("rrq-runner", "1", ["echo"]))
    assert bench.events() == [HelloReceived(Hello("rrq-runner", "1", ["echo"]))]


async def test_pings_are_answered_while_handlers_wait() -> None:
    """The loop answers, whatever the handlers wait for (F74)."""
    bench = Bench()
    bench.session.data_received(bench.frames("wait") + bench.peer.ping(3))
    assert bench.events() == [PongReceived(Ping(3))]
    bench.session.connection_lost(None)
    await bench.settled()


async def test_cancel_frames_reach_the_handler() -> None:
    """A cancelled request is answered once, as cancelled; a late cancel does nothing."""
    bench = Bench()
    request = execution_request("wait")
    bench.session.data_received(bench.peer.request(wire_request(request)))
    await asyncio.sleep(0)
    cancel = bench.peer.cancel(request.request_id, request.job_id)
    bench.session.data_received(cancel)
    await bench.settled()
    bench.session.data_received(cancel)
    (event,) = bench.events()
    assert event.outcome.error.type == ErrorType.CANCELLED


@pytest.mark.parametrize("name", ["nonsense", "explosive", "leaving"])
async def test_a_result_that_cannot_be_sent_fails_at_once(name: str) -> None:
    """The request is answered with a fatal error; the connection goes on (F77)."""
    bench = Bench()
    bench.session.data_received(bench.frames(name) + bench.frames("echo"))
    await bench.settled()
    types = [event.outcome.error and event.outcome.error.type for event in bench.events()]
    assert types == [ErrorType.RESULT_NOT_SERIALISABLE, None]


async def test_too_many_requests_are_answered_busy() -> None:
    """Beyond the limit the runner says so, in order, and takes more when there is room."""
    bench = Bench(max_in_flight=2)
    bench.session.data_received(bench.frames("wait", 3))
    await asyncio.sleep(0)
    (event,) = bench.events()
    assert event.outcome.error.type == ErrorType.BUSY
    bench.release.set()
    await bench.settled()
    bench.session.data_received(bench.frames("echo"))
    await bench.settled()
    assert len(bench.events()) == 3


async def test_a_bad_message_leaves_its_neighbours_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Inside intact framing one message is refused and the next executed (F68)."""
    bench = Bench()
    bad = b'{"type":"request","payload":{"request_id":"x","job_id":"y"}}'
    with caplog.at_level(logging.WARNING, "rrq_runner"):
        bench.session.data_received(len(bad).to_bytes(4, "big") + bad + bench.frames("echo"))
    await bench.settled()
    refused, answered = bench.events()
    assert not isinstance(refused, OutcomeReceived | BadMessage)
    assert isinstance(answered, OutcomeReceived)
    assert caplog.messages == ["runner.message_rejected"]


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0\0\0\0", b"\xff" * 8]
)
async def test_garbage_closes_the_connection(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP, TLS and impossible lengths are told apart from messages at once (F62, F63)."""
    bench = Bench()
    with caplog.at_level(logging.WARNING, "rrq_runner"):
        bench.session.data_received(garbage)
    if garbage.startswith(b"\x16"):
        bench.session.data_received(b"\0" * 16)
    assert bench.wire.did == ["abort"]
    assert caplog.messages == ["runner.protocol_error"]


async def test_a_lost_connection_cancels_its_handlers() -> None:
    """Nobody waits for their outcomes, and writing one more would be an error."""
    ended: list[Session] = []
    bench = Bench(on_end=ended.append)
    bench.session.data_received(bench.frames("wait"))
    await asyncio.sleep(0)
    assert bench.session.eof_received() is False
    bench.session.connection_lost(ConnectionResetError("gone"))
    await bench.settled()
    assert (bench.wire.writes, bench.engine.running, ended) == ([], 0, [bench.session])


async def test_the_end_of_stdin_only_means_no_more() -> None:
    """Where the owner asks for it, the end of the input leaves the connection open for answers."""
    said: list[str] = []
    bench = Bench(on_eof=lambda: said.append("eof"))
    bench.session.data_received(bench.frames("echo"))
    assert bench.session.eof_received() is True
    await bench.settled()
    assert said == ["eof"]
    assert len(bench.events()) == 1


async def test_a_draining_session_gives_requests_back() -> None:
    """New requests are answered "busy" while old ones end."""
    bench = Bench()
    bench.session.data_received(bench.frames("wait"))
    bench.session.draining = True
    bench.session.data_received(bench.frames("echo"))
    (event,) = bench.events()
    assert event.outcome.error.type == ErrorType.BUSY
    bench.release.set()
    await bench.settled()
    bench.session.close()
    assert len(bench.events()) == 1
    assert bench.wire.did == ["close"]


async def test_a_slow_reader_is_sent_no_more_work() -> None:
    """While the peer does not take what was written, nothing more is read from it (F59)."""
    bench = Bench()
    bench.session.pause_writing()
    bench.session.resume_writing()
    assert bench.wire.did == ["pause_reading", "resume_reading"]


async def test_a_refused_peer_gets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is not admitted is cut off before anything is read, and the log says why."""
    with caplog.at_level(logging.WARNING, "rrq_runner"):
        bench = Bench(admit=lambda transport: "a stranger", hello=Hello("rrq-runner", "1"))
    bench.session.data_received(bench.frames("echo"))
    await bench.settled()
    assert (bench.wire.writes, bench.wire.did) == ([], ["abort"])
    assert caplog.messages == ["runner.peer_refused"]
