"""Async connections to Redis, each used by one call at a time, none shared with another event loop or a
forked child.

The rule that keeps replies from being mixed up: a connection goes back to the pool only after the whole reply
to what it sent was read. A cancelled call closes its connection, wherever it was cancelled (RELIABILITY.md
S31).
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from rrq_producer.address import Address, AsyncConnection
from rrq_producer.attempts import Attempts
from rrq_producer.errors import ProducerClosed
from rrq_producer.pool import IDLE_S, WINDOW

__all__ = ["AsyncPool", "discard"]


class _State:
    """The connections of one event loop in one process."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pid, self.loop = os.getpid(), loop
        self.idle: deque[tuple[AsyncConnection, float]] = deque()
        self.slots = asyncio.Semaphore(size)


class AsyncPool:
    """Connections to one address, opened when needed.

    Args:
        address: The server.
        size: Most connections in use at a time; further callers wait for one.
    """

    def __init__(self, address: Address, size: int) -> None:
        self._address, self._size = address, size
        self._state: _State | None = None
        self._inherited: list[_State] = []
        self._closed = False

    async def call(self, command: bytes, attempts: Attempts) -> object:
        """Send one packed command and return its reply.

        Raises:
            redis.RedisError: The server answered with an error, or the exchange failed; then the connection
            is closed.
            TimeoutError: The attempt took longer than it may.
        """
        async with self._connection(attempts) as connection, asyncio.timeout(attempts.limit_s):
            attempts.sent = True
            await connection.send_packed_command((command,), check_health=False)
            return await connection.read_response()

    async def pipeline(
        self, commands: Iterable[bytes], attempts: Attempts, on_reply: Callable[[object], None]
    ) -> None:
        """Send packed commands without waiting for each reply, on one connection; hand on the replies, in
        order.

        Raises:
            redis.RedisError: As :meth:`call`. Replies not handed on by then are lost; their commands may have
            had their effect.
            TimeoutError: One of them took longer than it may.
        """
        under_way = 0
        async with self._connection(attempts, clean_errors=False) as connection:
            for command in commands:
                async with asyncio.timeout(attempts.limit_s):
                    attempts.sent = True
                    await connection.send_packed_command((command,), check_health=False)
                    under_way += 1
                    if under_way == WINDOW:
                        on_reply(await connection.read_response())
                        under_way -= 1
            for _ in range(under_way):
                async with asyncio.timeout(attempts.limit_s):
                    on_reply(await connection.read_response())

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        if (state := self._state) is not None:
            await self._close_idle(state)

    @asynccontextmanager
    async def _connection(
        self, attempts: Attempts, *, clean_errors: bool = True
    ) -> AsyncIterator[AsyncConnection]:
        from redis.exceptions import RedisError, ResponseError

        state = self._current()
        if state.slots.locked():
            async with asyncio.timeout(attempts.remaining_s):
                await state.slots.acquire()
        else:
            await state.slots.acquire()
        try:
            connection = await self._take(state) or await self._open(attempts)
            try:
                yield connection
            except BaseException as error:
                # After an error reply, read to its end, the connection is as good as after any other reply.
                if clean_errors and isinstance(error, ResponseError) and connection.is_connected:
                    await self._give(state, connection)
                    raise
                await discard(connection)
                if isinstance(error, RedisError | OSError):
                    # What broke this connection has most likely broken the others too.
                    await self._close_idle(state)
                raise
            await self._give(state, connection)
        finally:
            state.slots.release()

    async def _open(self, attempts: Attempts) -> AsyncConnection:
        connection = self._address.async_connection()
        try:
            async with asyncio.timeout(attempts.limit_s):
                await connection.connect()
        except BaseException:
            await discard(connection)
            raise
        return connection

    def _current(self) -> _State:
        if self._closed:
            raise ProducerClosed
        state, loop = self._state, asyncio.get_running_loop()
        if state is None or state.loop is not loop or state.pid != os.getpid():
            # Connections belong to their event loop and to the process that opened them, and cannot be closed
            # from here. A child's copies are kept, unused: closing them would take them out of the parent's
            # selector as well.
            if state is not None and state.pid != os.getpid():
                self._inherited.append(state)
            state = self._state = _State(self._size, loop)
        return state

    async def _take(self, state: _State) -> AsyncConnection | None:
        while state.idle:
            connection, since = state.idle.pop()
            if state.loop.time() - since < IDLE_S and connection.is_connected:
                return connection
            await discard(connection)
        return None

    async def _give(self, state: _State, connection: "AsyncConnection") -> None:
        if self._closed:
            await discard(connection)
        else:
            state.idle.append((connection, state.loop.time()))

    async def _close_idle(self, state: _State) -> None:
        while state.idle:
            await discard(state.idle.pop()[0])


async def discard(connection: "AsyncConnection") -> None:
    """Close a connection at once, in whatever state it is, without waiting for the other side."""
    from redis.exceptions import RedisError

    try:
        await connection.disconnect(nowait=True)
    except (RedisError, OSError):
        return
