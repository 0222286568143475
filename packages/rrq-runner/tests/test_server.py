"""A server in this process, with real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rrq_protocol import Endpoint, ErrorType, HelloReceived, TcpEndpoint, UnixEndpoint
from rrq_runner.context import Context
from rrq_runner.errors import StartupError
from rrq_runner.registry import Registry
from rrq_runner.server import Server, runner_version
from rrq_runner.settings import RunnerSettings
from support.runners import connect, connected, result_of

pytestmark = pytest.mark.anyio


def settings(**options: Any) -> RunnerSettings:
    """Return settings with a few handlers."""
    registry = Registry()

    @registry.handler
    async def echo(ctx: Context, value: int = 0) -> object:
        return [value, ctx.get("pool")]

    @registry.handler
    async def sleep(ctx: Context, seconds: float = 60) -> str:
        ctx.state.setdefault("begun", asyncio.Event()).set()
        await asyncio.sleep(seconds)
        return "slept"

    @registry.handler
    def plain(value: int) -> int:
        return value

    options.setdefault("shutdown_grace_seconds", 0.1)
    return RunnerSettings(registry=registry, **options)


class Running:
    """A server and where it listens."""

    def __init__(self, server: Server, address: str, task: "asyncio.Task[bool]") -> None:
        self.server = server
        self.address = address
        self.task = task

    async def stop(self) -> bool:
        """Stop it and return whether every handler had ended."""
        self.server.stop()
        return await asyncio.wait_for(asyncio.shield(self.task), 10)


@asynccontextmanager
async def serving(
    endpoint: Endpoint, chosen: RunnerSettings | None = None, **options: Any
) -> AsyncIterator[Running]:
    """Serve for the block."""
    server = Server(chosen or settings(), endpoint, **options)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(server.run(address.set_result))
    try:
        yield Running(server, await asyncio.wait_for(address, 10), task)
    finally:
        server.hurry()
        await asyncio.wait([task], timeout=10)


@pytest.fixture
def endpoint(tmp_path: Path) -> UnixEndpoint:
    """Return a Unix socket of this test's own."""
    return UnixEndpoint(str(tmp_path / "s"))


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_requests_are_answered(kind: str, endpoint: UnixEndpoint) -> None:
    """Over either socket, async and plain handlers answer, and the connection is used again and again."""
    where = endpoint if kind == "unix" else TcpEndpoint("127.0.0.1", 0)
    async with serving(where) as running, connected(running.address) as peer:
        assert result_of(await peer.call("echo", {"value": 1})) == [1, None]
        assert result_of(await peer.call("plain", {"value": 2})) == 2
        outcome = await peer.call("missing")
        assert outcome.error is not None
        assert outcome.error.type == ErrorType.HANDLER_NOT_FOUND
        for number in range(500):
            peer.send("echo", {"value": number})
        outcomes = [await peer.outcome() for _ in range(500)]
        assert sorted(result_of(outcome)[0] for outcome in outcomes) == list(range(500))


async def test_hooks_surround_everything(endpoint: UnixEndpoint) -> None:
    """The state is there before the first request, and the shutdown hook comes after the last answer."""
    closed: list[str] = []
    chosen = settings(on_startup=lambda: {"pool": "open"}, on_shutdown=lambda: closed.append("closed"))
    async with serving(endpoint, chosen) as running, connected(running.address) as peer:
        assert result_of(await peer.call("echo")) == [0, "open"]
        assert closed == []
        assert await running.stop()
        assert closed == ["closed"]
    assert not Path(endpoint.path).exists()


async def test_the_introduction_is_sent_where_it_was_offered(endpoint: UnixEndpoint) -> None:
    """It names the runtime, its version, its handlers and the concurrency it wants."""
    offered, chosen = frozenset({"hello"}), settings(max_in_flight=7)
    async with serving(endpoint, chosen, extensions=offered) as running, connected(running.address) as peer:
        event = await peer.event()
    assert isinstance(event, HelloReceived)
    assert (event.hello.runtime, event.hello.version) == ("rrq-runner", runner_version())
    assert (event.hello.handlers, event.hello.max_in_flight) == (["echo", "plain", "sleep"], 7)


async def test_without_the_offer_nothing_is_sent_first(endpoint: UnixEndpoint) -> None:
    """A public orchestrator would not understand it."""
    async with serving(endpoint) as running, connected(running.address) as peer:
        peer.send("echo")
        assert not isinstance(await peer.event(), HelloReceived)


async def test_deadlines_and_cancels_over_the_wire(endpoint: UnixEndpoint) -> None:
    """Each ends its own request; the neighbour is untouched."""
    async with serving(endpoint) as running, connected(running.address) as peer:
        timed = peer.send("sleep", deadline=datetime.now(UTC) + timedelta(seconds=0.05))
        assert (await peer.outcome()).status == "timeout"
        cancelled = peer.send("sleep")
        neighbour = peer.send("sleep", {"seconds": 0.1})
        peer.cancel(cancelled)
        outcomes = {outcome.request_id: outcome for outcome in [await peer.outcome(), await peer.outcome()]}
        error = outcomes[cancelled.request_id].error
        assert error is not None
        assert error.type == ErrorType.CANCELLED
        assert result_of(outcomes[neighbour.request_id]) == "slept"
        assert timed.request_id not in outcomes


async def test_stopping_lets_requests_end(endpoint: UnixEndpoint) -> None:
    """What was taken is answered within the grace; what comes meanwhile is given back; nobody new gets in."""
    state: dict[str, Any] = {}
    chosen = settings(shutdown_grace_seconds=10, on_startup=lambda: state)
    async with serving(endpoint, chosen) as running, connected(running.address) as peer:
        first = peer.send("sleep", {"seconds": 0.2})
        assert result_of(await peer.call("echo")) is not None  # the first one has begun
        running.server.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = peer.send("echo")
        outcomes = [await peer.outcome(), await peer.outcome()]
        assert [outcome.request_id for outcome in outcomes] == [refused.request_id, first.request_id]
        assert outcomes[0].error is not None
        assert outcomes[0].error.type == ErrorType.BUSY
        assert result_of(outcomes[1]) == "slept"
        with pytest.raises(OSError, match=r"."):
            await connect(running.address)
        assert await running.stop()
        with pytest.raises(ConnectionResetError):
            await peer.event()


async def test_after_the_grace_requests_are_given_back(endpoint: UnixEndpoint) -> None:
    """They are cancelled, and answered "busy" before the connection closes."""
    async with serving(endpoint) as running, connected(running.address) as peer:
        peer.send("sleep")
        await peer.call("echo")
        assert await running.stop()
        outcome = await peer.outcome()
        assert outcome.error is not None
        assert outcome.error.type == ErrorType.BUSY


async def test_a_failing_startup_never_listens(endpoint: UnixEndpoint) -> None:
    """The error comes out, and no socket was made."""

    def fails() -> None:
        raise ConnectionError("no database")

    with pytest.raises(StartupError, match="on_startup failed: ConnectionError: no database"):
        await Server(settings(on_startup=fails), endpoint).run()
    assert not Path(endpoint.path).exists()


async def test_stopping_during_a_slow_startup(endpoint: UnixEndpoint) -> None:
    """A hook that takes for ever does not hold a process that should end (F18)."""
    begun = asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.sleep(60)

    server = Server(settings(on_startup=slow), endpoint)
    task = asyncio.ensure_future(server.run())
    await begun.wait()
    server.stop()
    assert await asyncio.wait_for(task, 10) is True


async def test_a_broken_connection_leaves_the_others(endpoint: UnixEndpoint) -> None:
    """Garbage on one connection closes that one."""
    async with (
        serving(endpoint) as running,
        connected(running.address) as good,
        connected(running.address) as bad,
    ):
        bad.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await bad.event()
        assert result_of(await good.call("echo", {"value": 1})) == [1, None]
