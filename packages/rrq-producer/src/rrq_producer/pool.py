"""Blocking connections to Redis, each used by one thread at a time, none shared with a forked child.

The rule that keeps replies from being mixed up: a connection goes back to the pool only after the whole reply
to what it sent was read. Whatever else happens (an error, a time limit, an interrupt in the middle), it is
closed (RELIABILITY.md S31).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from time import monotonic

from rrq_producer.address import Address, BlockingConnection
from rrq_producer.attempts import Attempts
from rrq_producer.durability import Confirmation
from rrq_producer.errors import ProducerClosed
from rrq_producer.faults import leaves_open

__all__ = ["IDLE_S", "WINDOW", "BlockingPool", "IdleConnections"]

IDLE_S = 30.0
"""A connection unused for so long is closed rather than used: something on the way may have forgotten it."""
WINDOW = 2
"""Chunks under way at a time: the server works on one while the next is being sent."""


class IdleConnections:
    """Open connections that nobody uses, newest first. A forked child begins with none."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[tuple[BlockingConnection, float]] = deque()
        self._closed = False

    def take(self) -> BlockingConnection | None:
        """Return a connection that may be used, or None where a new one has to be opened.

        Raises:
            ProducerClosed: They were closed.
        """
        if self._closed:
            raise ProducerClosed
        if self._pid != os.getpid():
            # The connections are the parent's. Letting go of them closes this process's copies and says
            # nothing to the server.
            self._pid, self._idle = os.getpid(), deque()
        while (connection := self._pop()) is not None:
            if monotonic() - connection[1] < IDLE_S:
                return connection[0]
            connection[0].disconnect()
        return None

    def give(self, connection: "BlockingConnection") -> None:
        """Keep a connection that waits for no reply."""
        if self._closed:
            connection.disconnect()
        else:
            self._idle.append((connection, monotonic()))

    def drop(self) -> None:
        """Close all that are idle."""
        while (connection := self._pop()) is not None:
            connection[0].disconnect()

    def close(self) -> None:
        """Close all, also those that come back later."""
        self._closed = True
        self.drop()

    def _pop(self) -> tuple[BlockingConnection, float] | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


class BlockingPool:
    """Connections to one address, opened when needed; safe to use from several threads.

    Args:
        address: The server.
        size: Most connections in use at a time; further callers wait for one.
        limit_s: Usual time limit of one exchange.
    """

    def __init__(self, address: Address, size: int, limit_s: float) -> None:
        self._address, self._size, self._limit_s = address, size, limit_s
        self._idle = IdleConnections()
        self._slots = os.getpid(), BoundedSemaphore(size)

    def call(self, command: bytes, attempts: Attempts, confirmation: Confirmation | None = None) -> object:
        """Send one packed command and return its reply, after asking for what ``confirmation`` asks for.

        Raises:
            redis.RedisError: The server answered with an error, or the exchange failed; then the connection
            is closed.
        """
        with self._connection(attempts) as connection:
            attempts.sent = True
            connection.send_packed_command((command,), check_health=False)
            # The connection's own limit was set when it was opened; a caller in more of a hurry looks first.
            if (limit_s := attempts.limit_s) < self._limit_s / 2 and not connection.can_read(timeout=limit_s):
                raise TimeoutError("no answer in time")
            reply: object = connection.read_response()
            if confirmation is not None:
                _confirm(connection, confirmation, attempts)
            return reply

    def pipeline(
        self, commands: Iterable[bytes], attempts: Attempts, on_reply: Callable[[object], None]
    ) -> None:
        """Send packed commands without waiting for each reply, on one connection; hand on the replies, in
        order.

        After an error reply, which is handed on too, no further command is sent.

        Raises:
            redis.RedisError: The exchange failed. Replies not handed on by then are lost; their commands may
                have had their effect.
        """
        from redis.exceptions import ResponseError

        under_way, failed = 0, False
        with self._connection(attempts) as connection:

            def take() -> None:
                nonlocal under_way, failed
                under_way -= 1
                try:
                    reply = connection.read_response()
                except ResponseError as error:
                    if not leaves_open(error):
                        raise
                    reply, failed = error, True
                on_reply(reply)

            for command in commands:
                attempts.sent = True
                connection.send_packed_command((command,), check_health=False)
                under_way += 1
                if under_way == WINDOW:
                    take()
                    if failed:
                        break
            while under_way:
                take()

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._idle.close()

    @contextmanager
    def _connection(self, attempts: Attempts) -> Iterator[BlockingConnection]:
        from redis.exceptions import RedisError

        slots = self._own_slots()
        if not slots.acquire(timeout=attempts.remaining_s):
            raise TimeoutError(f"all {self._size} connections are in use")
        try:
            connection, keep = self._idle.take(), True
            if connection is None:
                connection, keep = self._open(attempts)
            try:
                yield connection
            except BaseException as error:
                # After an error reply, read to its end, the connection is as good as after any other reply.
                if keep and leaves_open(error):
                    self._idle.give(connection)
                    raise
                connection.disconnect()
                if isinstance(error, RedisError | OSError):
                    # What broke this connection has most likely broken the others too.
                    self._idle.drop()
                raise
            if keep:
                self._idle.give(connection)
            else:
                connection.disconnect()
        finally:
            slots.release()

    def _open(self, attempts: Attempts) -> tuple[BlockingConnection, bool]:
        """Return a new connection, and whether its time limit fits later calls too."""
        limit_s = attempts.limit_s
        connection = self._address.blocking_connection(limit_s)
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection, limit_s >= self._limit_s / 2

    def _own_slots(self) -> BoundedSemaphore:
        pid, slots = self._slots
        if pid != os.getpid():
            # A forked child: the parent's threads are not here to give theirs back. Two threads that see this
            # at once each make new ones; those that are overwritten count for one call and are forgotten.
            slots = BoundedSemaphore(self._size)
            self._slots = os.getpid(), slots
        return slots


def _confirm(connection: BlockingConnection, confirmation: Confirmation, attempts: Attempts) -> None:
    from redis.exceptions import ResponseError

    try:
        while (question := confirmation.next(attempts)) is not None:
            connection.send_packed_command((question,), check_health=False)
            while confirmation.owed:
                try:
                    confirmation.take(connection.read_response())
                except ResponseError as error:
                    if not leaves_open(error):
                        raise
                    confirmation.take(error)
    except BaseException as error:
        if confirmation.lapsed(error, attempts):
            connection.disconnect()  # it opens itself anew when it is used next
            return
        attempts.repeated = True  # what came before has had its effect
        raise
