"""Async connections that are closed while nobody uses them, on any event loop."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis.exceptions
import uvloop

from rrq_producer.address import Address
from rrq_producer.aio_connection import connect, discard, is_open, send
from rrq_producer.aio_pool import AsyncPool
from rrq_producer.attempts import Attempts
from rrq_producer.packing import pack

PING = pack(("PING",))
ON_ANY_LOOP = pytest.mark.parametrize("factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


class Resetting:
    """A server that says PONG to a PING and OK to all else, and ends connections so that the other side sees
    a reset instead of an end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self._ending: list[threading.Event] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def reset_all(self) -> None:
        """Reset every connection, and return when that is done."""
        for ending in self._ending:
            ending.set()
        for thread in self._threads[1:]:
            thread.join(10)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset_all()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            ending = threading.Event()
            self.connections.append(connection)
            self._ending.append(ending)
            self._threads.append(threading.Thread(target=self._serve, args=(connection, ending), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, ending: threading.Event) -> None:
        connection.settimeout(0.005)
        with connection:
            while not ending.is_set():
                with contextlib.suppress(TimeoutError):
                    data = connection.recv(4096)
                    if not data:
                        return
                    connection.sendall(
                        b"+OK\r\n" * data.count(b"SETINFO") + b"+PONG\r\n" * data.count(b"PING")
                    )
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def server() -> Iterator[Resetting]:
    """Serve one."""
    made = Resetting()
    yield made
    made.close()


@ON_ANY_LOOP
def test_a_reset_while_idle_is_a_broken_connection(server: Resetting, factory: Any) -> None:
    """It is known to be closed, and sending on it is an error of the exchange, not of the event loop."""

    async def main() -> None:
        connection = Address.of_dsn(server.url).async_connection()
        await connect(connection)
        assert is_open(connection)
        await send(connection, PING)
        assert await connection.read_response() == b"PONG"
        await asyncio.to_thread(server.reset_all)
        while is_open(connection):  # noqa: ASYNC110 - the loop has yet to see it
            await asyncio.sleep(0.001)
        with pytest.raises(ConnectionResetError):
            await send(connection, PING)
        await discard(connection)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@ON_ANY_LOOP
def test_a_pool_gives_out_no_connection_that_was_reset(server: Resetting, factory: Any) -> None:
    """The next call takes a new one at its first attempt."""

    async def main() -> None:
        address = Address.of_dsn(server.url)
        pool = AsyncPool(address, 4)
        await asyncio.gather(*(pool.call(PING, Attempts(address, 5)) for _ in range(3)))
        await asyncio.to_thread(server.reset_all)
        home = pool.admit()
        while any(is_open(connection) for connection, _ in home.idle):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        attempts = Attempts(address, 5)
        assert await pool.call(PING, attempts) == b"PONG"
        assert len(server.connections) == 4
        await pool.aclose()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@ON_ANY_LOOP
def test_a_reset_that_is_seen_while_writing(server: Resetting, factory: Any) -> None:
    """What the loop says of a transport that was closed under the writer is a broken connection as well."""

    async def exchange(connection: Any) -> None:
        await send(connection, PING)
        await connection.read_response()

    async def main() -> None:
        connection: Any = Address.of_dsn(server.url).async_connection()
        await connect(connection)
        connection._writer.transport.abort()
        connection._writer.is_closing = lambda: False  # as in the moment before it is seen
        with pytest.raises((ConnectionResetError, redis.exceptions.ConnectionError)):
            await exchange(connection)
        await discard(connection)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
