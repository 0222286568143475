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
from dataclasses import dataclass

from rrq_producer.address import Address, AsyncConnection
from rrq_producer.aio_connection import connect, discard, is_open, send
from rrq_producer.attempts import Attempts
from rrq_producer.durability import Confirmation
from rrq_producer.errors import ProducerClosed
from rrq_producer.faults import leaves_open
from rrq_producer.pool import IDLE_S, WINDOW

__all__ = ["AsyncPool", "Home", "Loan", "take_answers"]


class Home:
    """The connections of one event loop in one process."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pid, self.loop = os.getpid(), loop
        self.idle: deque[tuple[AsyncConnection, float]] = deque()
        self.slots = asyncio.Semaphore(size)


@dataclass(frozen=True, slots=True)
class Loan:
    """A connection while a call uses it."""

    home: Home
    connection: AsyncConnection


class AsyncPool:
    """Connections to one address, opened when needed.

    Args:
        address: The server.
        size: Most connections in use at a time; further callers wait for one.
    """

    def __init__(self, address: Address, size: int) -> None:
        self._address, self._size = address, size
        self._home: Home | None = None
        self._inherited: list[Home] = []
        self._closed = False

    @property
    def display(self) -> str:
        """The address, without its password."""
        return self._address.display

    async def call(
        self, command: bytes, attempts: Attempts, confirmation: Confirmation | None = None
    ) -> object:
        """Send one packed command and return its reply, after asking for what ``confirmation`` asks for.

        Raises:
            redis.RedisError: The server answered with an error, or the exchange failed; then the connection
            is closed.
            TimeoutError: The attempt took longer than it may.
        """
        async with self._connection(attempts) as connection:
            async with asyncio.timeout(attempts.limit_s):
                attempts.sent = True
                await send(connection, command)
                reply: object = await connection.read_response()
            if confirmation is not None:
                await _confirm(connection, confirmation, attempts)
            return reply

    async def pipeline(
        self, commands: Iterable[bytes], attempts: Attempts, on_reply: Callable[[object], None]
    ) -> None:
        """Send packed commands without waiting for each reply, on one connection; hand on the replies, in
        order.

        After an error reply, which is handed on too, no further command is sent.

        Raises:
            redis.RedisError: The exchange failed. Replies not handed on by then are lost; their commands may
                have had their effect.
            TimeoutError: One of them took longer than it may.
        """
        from redis.exceptions import ResponseError

        under_way, failed = 0, False
        async with self._connection(attempts) as connection:

            async def take() -> None:
                nonlocal under_way, failed
                under_way -= 1
                try:
                    async with asyncio.timeout(attempts.limit_s):
                        reply = await connection.read_response()
                except ResponseError as error:
                    if not leaves_open(error):
                        raise
                    reply, failed = error, True
                on_reply(reply)

            for command in commands:
                async with asyncio.timeout(attempts.limit_s):
                    attempts.sent = True
                    await send(connection, command)
                    under_way += 1
                if under_way == WINDOW:
                    await take()
                    if failed:
                        break
            while under_way:
                await take()

    def admit(self) -> Home:
        """Return where a call that begins now gets its connections from. A call that was admitted may borrow
        until it ends, though the pool is closed meanwhile.

        Raises:
            ProducerClosed: The pool was closed.
        """
        if self._closed:
            raise ProducerClosed
        return self._current()

    async def borrow(self, attempts: Attempts) -> Loan:
        """Return an open connection; it has to be given back or given up.

        Raises:
            redis.RedisError: None could be opened; so could a TimeoutError tell.
        """
        home = self._current()
        if home.slots.locked():
            async with asyncio.timeout(attempts.remaining_s):
                await home.slots.acquire()
        else:
            await home.slots.acquire()
        try:
            return Loan(home, await self._take(home) or await self._open(attempts))
        except BaseException:
            home.slots.release()
            raise

    async def give_back(self, loan: Loan) -> None:
        """Take a connection back that waits for no reply."""
        try:
            if self._closed or not is_open(loan.connection):
                await discard(loan.connection)
            else:
                loan.home.idle.append((loan.connection, loan.home.loop.time()))
        finally:
            loan.home.slots.release()

    async def give_up(self, loan: Loan, error: BaseException | None = None) -> None:
        """Close a connection that is of no use any more, because of ``error``."""
        from redis.exceptions import RedisError

        try:
            await discard(loan.connection)
            if isinstance(error, RedisError | OSError):
                # What broke this connection has most likely broken the others too.
                await self._close_idle(loan.home)
        finally:
            loan.home.slots.release()

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        if (home := self._home) is not None:
            await self._close_idle(home)

    @asynccontextmanager
    async def _connection(self, attempts: Attempts) -> AsyncIterator[AsyncConnection]:
        self.admit()
        loan = await self.borrow(attempts)
        try:
            yield loan.connection
        except BaseException as error:
            # After an error reply, read to its end, the connection is as good as after any other reply.
            if leaves_open(error):
                await self.give_back(loan)
            else:
                await self.give_up(loan, error)
            raise
        await self.give_back(loan)

    async def _open(self, attempts: Attempts) -> AsyncConnection:
        connection = self._address.async_connection()
        try:
            async with asyncio.timeout(attempts.limit_s):
                await connect(connection)
        except BaseException:
            await discard(connection)
            raise
        return connection

    def _current(self) -> Home:
        home, loop = self._home, asyncio.get_running_loop()
        if home is None or home.loop is not loop or home.pid != os.getpid():
            # Connections belong to their event loop and to the process that opened them, and cannot be closed
            # from here. A child's copies are kept, unused: closing them would take them out of the parent's
            # selector as well.
            if home is not None and home.pid != os.getpid():
                self._inherited.append(home)
            home = self._home = Home(self._size, loop)
        return home

    async def _take(self, home: Home) -> AsyncConnection | None:
        while home.idle:
            connection, since = home.idle.pop()
            if home.loop.time() - since < IDLE_S and is_open(connection):
                return connection
            await discard(connection)
        return None

    async def _close_idle(self, home: Home) -> None:
        while home.idle:
            await discard(home.idle.pop()[0])


async def _confirm(connection: AsyncConnection, confirmation: Confirmation, attempts: Attempts) -> None:
    try:
        while (question := confirmation.next(attempts)) is not None:
            async with asyncio.timeout(attempts.limit_s):
                await send(connection, question)
                await take_answers(connection, confirmation)
    except BaseException as error:
        if confirmation.lapsed(error, attempts):
            await discard(connection)
            return
        attempts.repeated = True  # what came before has had its effect
        raise


async def take_answers(connection: AsyncConnection, confirmation: Confirmation) -> None:
    """Read what a connection owes of a question, however much of it was read before.

    Raises:
        redis.RedisError: The connection is of no use any more.
    """
    from redis.exceptions import ResponseError

    while confirmation.owed:
        try:
            confirmation.take(await connection.read_response(disconnect_on_error=False))
        except ResponseError as error:
            if not leaves_open(error):
                raise
            confirmation.take(error)
