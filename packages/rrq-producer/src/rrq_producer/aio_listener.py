"""Waiting for announcements on one subscription connection that all waiters of an async producer share.

Theory of operation. There is no task of its own. Of the waiters that have nothing else to do, one *leads*: it
reads the connection and flags the waiters a message is for. When it leaves, for whatever reason, it hands the
lead to one that follows. A flag only ever means "read the record again", so a flag too many does no harm.
These set one:

- the server confirms the subscription: from here on no end goes unnoticed, what happened before is in the
  record;
- a message comes;
- the connection was lost and made anew: its confirmations flag everybody, so what was missed meanwhile is
  found.

And a waiter that was not flagged for a while returns anyway. Reading with a time limit is what the client
library's own subscriptions do: a read given up by cancellation has taken nothing from the stream, so the next
leader goes on from there.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import cast

from rrq_producer.address import Address, AsyncConnection
from rrq_producer.aio_connection import connect, discard, send
from rrq_producer.attempts import MAX_ATTEMPT_S
from rrq_producer.errors import ProducerClosed, RedisRefused
from rrq_producer.faults import RedisFault, diagnose, exchange_errors
from rrq_producer.packing import pack
from rrq_producer.pool import IDLE_S
from rrq_producer.results import RECHECK_S
from rrq_protocol import RetryPolicy, delay_s

__all__ = ["AsyncListener", "Signal"]

_BACKOFF = RetryPolicy(base_s=0.05, cap_s=2.0)
_PING = pack(("PING",))


class Signal:
    """What one waiter is told. ``status`` is the last announcement, if there was one."""

    def __init__(self, channel: bytes) -> None:
        self.channel = channel
        self.status: bytes | None = None
        self.flagged = False
        self.woken = asyncio.Event()

    def flag(self) -> None:
        """Tell the waiter to read the record again."""
        self.flagged = True
        self.woken.set()


class AsyncListener:
    """The subscriptions of one async producer."""

    def __init__(self, address: Address, random: Random | None = None) -> None:
        self._address, self._random = address, random or Random()
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._inherited: list[AsyncConnection | None] = []
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._connection: AsyncConnection | None = None
        self._leader: Signal | None = None
        self._waiting: dict[bytes, set[Signal]] = {}
        self._following: dict[Signal, None] = {}
        self._failures = 0
        self._heard_at = 0.0
        self._asked_at: float | None = None

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncIterator[Signal]:
        """Listen to a channel while the block runs."""
        owner = os.getpid(), asyncio.get_running_loop()
        if owner != self._owner:
            if self._owner is not None and self._owner[0] != owner[0]:
                # A forked child's copy is kept, unused, for the reason AsyncPool gives.
                self._inherited.append(self._connection)
            self._reset()
            self._owner = owner
        signal = Signal(channel.encode())
        self._waiting.setdefault(signal.channel, set()).add(signal)
        try:
            await self._drop_if_stale()
            await self._send(pack(("SUBSCRIBE", signal.channel)))
            yield signal
        finally:
            others = self._waiting[signal.channel]
            others.discard(signal)
            if not others:
                del self._waiting[signal.channel]
            self._hand_over()
            if not others:
                await self._send(pack(("UNSUBSCRIBE", signal.channel)))

    async def next(self, signal: Signal, limit_s: float) -> None:
        """Return when the record should be read again, after ``limit_s`` seconds at the latest.

        Raises:
            RedisRefused: The server refuses, and would again.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        while not signal.flagged and (left_s := until - loop.time()) > 0:
            if self._leader is None:
                await self._lead(signal, until)
            else:
                await self._follow(signal, left_s)
        signal.flagged = False
        # It may have been woken to lead, and goes to look at the record instead.
        self._hand_over()

    async def aclose(self) -> None:
        """Close the connection. Waiters that are left return, and find the producer closed."""
        self._closed = True
        await self._disconnect()
        for signals in self._waiting.values():
            for signal in signals:
                signal.flag()

    async def _follow(self, signal: Signal, limit_s: float) -> None:
        signal.woken.clear()
        self._following[signal] = None
        try:
            async with asyncio.timeout(limit_s):
                await signal.woken.wait()
        except BaseException as error:
            # It may have been given the lead at this very moment and cannot take it any more.
            self._following.pop(signal, None)
            self._hand_over()
            if not isinstance(error, TimeoutError):
                raise
        else:
            self._following.pop(signal, None)

    async def _lead(self, signal: Signal, until: float) -> None:
        self._leader = signal
        loop = asyncio.get_running_loop()
        try:
            while not signal.flagged and (left_s := until - loop.time()) > 0:
                try:
                    connection = self._connection or await self._connect(left_s)
                    message = await connection.read_response(timeout=left_s, disconnect_on_error=False)
                except exchange_errors() as error:
                    await self._lost(error, until)
                else:
                    await self._heard(message)
        finally:
            self._leader = None
            self._hand_over()

    def _hand_over(self) -> None:
        if self._leader is None and self._following:
            next(iter(self._following)).woken.set()

    async def _connect(self, limit_s: float) -> AsyncConnection:
        if self._closed:
            raise ProducerClosed
        connection = self._address.async_connection()
        try:
            async with asyncio.timeout(min(limit_s, MAX_ATTEMPT_S)):
                await connect(connection)
                self._connection, self._asked_at = connection, None
                self._heard_at = asyncio.get_running_loop().time()
                if self._waiting:
                    await self._send(pack(("SUBSCRIBE", *self._waiting)))
        except BaseException:
            self._connection = None
            await discard(connection)
            raise
        return connection

    async def _lost(self, error: Exception, until: float) -> None:
        await self._disconnect()
        failure = diagnose(error)
        if failure.fault in (RedisFault.CONFIGURATION, RedisFault.BUG):
            raise RedisRefused(self._address.display, failure.problem, hint=failure.hint) from error
        self._failures += 1
        left_s = until - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, min(left_s, delay_s(self._failures, _BACKOFF, self._random))))

    async def _heard(self, message: object) -> None:
        now = asyncio.get_running_loop().time()
        if message is None:
            if self._asked_at is not None:
                if now - self._asked_at >= MAX_ATTEMPT_S:
                    await self._disconnect()
            elif now - self._heard_at >= RECHECK_S:
                await self._send(_PING)
            return
        self._heard_at, self._asked_at, self._failures = now, None, 0
        kind, channel, content = (*cast(list[bytes], message), b"", b"")[:3]
        if kind in (b"subscribe", b"message"):
            for signal in self._waiting.get(channel, ()):
                if kind == b"message":
                    signal.status = content
                signal.flag()

    async def _drop_if_stale(self) -> None:
        # Nobody reads while nobody waits, so an idle connection may have been lost unnoticed.
        alone = len(self._waiting) == 1 and self._leader is None
        if alone and asyncio.get_running_loop().time() - self._heard_at > IDLE_S:
            await self._disconnect()

    async def _send(self, command: bytes) -> None:
        """Send a command whose answer comes with the messages; without a connection, connecting sends what is
        due."""
        if (connection := self._connection) is None:
            return
        if self._asked_at is None:
            self._asked_at = asyncio.get_running_loop().time()
        try:
            await send(connection, command)
        except exchange_errors():
            await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await discard(connection)
