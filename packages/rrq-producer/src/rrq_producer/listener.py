"""Waiting for an announcement in blocking code: each waiter has a subscription connection to itself, kept for
the next one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import cast

from rrq_producer.address import Address, BlockingConnection
from rrq_producer.attempts import MAX_ATTEMPT_S
from rrq_producer.errors import RedisRefused
from rrq_producer.faults import RedisFault, diagnose, exchange_errors
from rrq_producer.packing import pack
from rrq_producer.pool import IdleConnections
from rrq_protocol import RetryPolicy, delay_s

__all__ = ["Listener", "Subscription"]

_BACKOFF = RetryPolicy(base_s=0.05, cap_s=2.0)
_PING = pack(("PING",))
_random = Random()


class Subscription:
    """One waiter's channel. ``status`` is the last announcement, if there was one."""

    def __init__(self, address: Address, idle: IdleConnections, channel: str) -> None:
        self.status: bytes | None = None
        self._address, self._idle, self._channel = address, idle, channel.encode()
        self._connection: BlockingConnection | None = None
        self._failures = 0
        self._asked_at: float | None = None

    def next(self, limit_s: float) -> None:
        """Return when the record should be read again, after ``limit_s`` seconds at the latest.

        That is when the subscription begins, when it begins anew after a lost connection, and when the job's
        end is announced.

        Raises:
            RedisRefused: The server refuses, and would again.
        """
        until = time.monotonic() + limit_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                connection = self._connection or self._connect(left_s)
                message = None
                if connection.can_read(timeout=left_s):
                    message = connection.read_response(disconnect_on_error=False)
                if self._concerns(message):
                    return
            except exchange_errors() as error:
                self._lost(error, until)

    def close(self) -> None:
        """Give the connection back; what is still said about this channel is skipped by the next waiter."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.send_packed_command((pack(("UNSUBSCRIBE", self._channel)),), check_health=False)
        except exchange_errors():
            connection.disconnect()
        else:
            self._idle.give(connection)

    def abandon(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _connect(self, limit_s: float) -> BlockingConnection:
        connection = self._idle.take() or self._address.blocking_connection(min(limit_s, MAX_ATTEMPT_S))
        self._connection = connection
        connection.connect()
        self._send(pack(("SUBSCRIBE", self._channel)))
        return connection

    def _send(self, command: bytes) -> None:
        if self._connection is not None:
            self._asked_at = time.monotonic()
            self._connection.send_packed_command((command,), check_health=False)

    def _concerns(self, message: object) -> bool:
        """Take note of a message, or of silence, and return whether to look at the record again."""
        if message is None:
            if self._asked_at is None:
                self._send(_PING)
            elif time.monotonic() - self._asked_at >= MAX_ATTEMPT_S:
                self.abandon()
            return False
        self._asked_at, self._failures = None, 0
        kind, channel, content = (*cast(list[bytes], message), b"", b"")[:3]
        if kind == b"message" and channel == self._channel:
            self.status = content
            return True
        return kind == b"subscribe" and channel == self._channel

    def _lost(self, error: Exception, until: float) -> None:
        self.abandon()
        failure = diagnose(error)
        if failure.fault in (RedisFault.CONFIGURATION, RedisFault.BUG):
            raise RedisRefused(self._address.display, failure.problem, hint=failure.hint) from error
        self._idle.drop()
        self._failures += 1
        left_s = until - time.monotonic()
        time.sleep(max(0.0, min(left_s, delay_s(self._failures, _BACKOFF, _random))))


class Listener:
    """The subscriptions of one blocking producer; safe to use from several threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle = IdleConnections()

    @contextmanager
    def subscribed(self, channel: str) -> Iterator[Subscription]:
        """Listen to a channel while the block runs."""
        subscription = Subscription(self._address, self._idle, channel)
        try:
            yield subscription
        except Exception:
            subscription.close()
            raise
        except BaseException:
            subscription.abandon()
            raise
        else:
            subscription.close()

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._idle.close()
