"""Connections to Redis that outlive its restarts (RELIABILITY.md 6.8 *Redis loss*).

Each service has a :class:`RedisLink` of its own, so a blocking read never delays a claim. A link does one
command at a time; a command that is cancelled or fails closes the connection, so that no later command can
read its reply (S31).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import hiredis
import redis.asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_protocol import RedisFault, ScriptCall, Text, classify_reply, reply_of

__all__ = ["RedisLink", "RedisLinks"]

T = TypeVar("T")

COMMAND_TIMEOUT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0


class RedisLinks:
    """Makes the links of one process and knows whether Redis answers.

    ``connected`` is written by the links, in the event loop only; it is what readiness reports. ``reached``
    says whether Redis ever answered, ``outages`` how often it was lost.
    """

    def __init__(self, url: str, address: str, log: FilteringBoundLogger, rng: random.Random) -> None:
        self.address, self.connected, self.reached = address, True, False
        self.outages = 0
        self._url, self._log, self._rng = url, log, rng
        self._links: list[RedisLink] = []

    def make(self, name: str, *, reply_timeout_s: float = COMMAND_TIMEOUT_S) -> "RedisLink":
        """Return a new link; ``reply_timeout_s`` must exceed the longest blocking read on it."""
        options: dict[str, Any] = {"socket_keepalive": True} if not self._url.startswith("unix:") else {}
        client = aioredis.Redis.from_url(
            self._url,
            protocol=2,
            max_connections=1,
            socket_timeout=reply_timeout_s,
            socket_connect_timeout=COMMAND_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        link = RedisLink(name, client.connection_pool.make_connection(), self)  # type: ignore[no-untyped-call]
        self._links.append(link)
        return link

    def pauses(self) -> "Pauses":
        """Return the pauses between attempts to reach Redis: doubling from 50 ms to 2 s, jittered."""
        return Pauses(self._rng)

    def lost(self, link: str, problem: str) -> None:
        """Note that Redis does not answer; logged once per outage."""
        if self.connected:
            self.outages += 1
            self._log.warning("redis.lost", address=self.address, link=link, problem=problem)
        self.connected = False

    def back(self) -> None:
        """Note that Redis answers."""
        if not self.connected:
            self._log.info("redis.back", address=self.address)
        self.connected = self.reached = True

    async def aclose(self) -> None:
        """Close all connections."""
        for link in self._links:
            await link.aclose()


class Pauses:
    """Capped, jittered backoff between attempts of one caller."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._next_s = rng, _FIRST_PAUSE_S

    async def pause(self) -> None:
        """Wait, longer each time."""
        await asyncio.sleep(self._next_s * (0.5 + self._rng.random() / 2))
        self._next_s = min(self._next_s * 2, _LONGEST_PAUSE_S)


class RedisLink:
    """One connection. Calls wait for each other; a failed one leaves a fresh connection to the next."""

    def __init__(self, name: str, connection: AbstractConnection, links: RedisLinks) -> None:
        self.name = name
        self._connection, self._links = connection, links
        self._lock = asyncio.Lock()
        self._outages = links.outages

    async def run(self, call: ScriptCall[T]) -> T:
        """Carry out a transition once.

        Raises:
            RedisGone: There was no answer, or not the time for one; whether it was carried out is unknown.
            RedisRefused: Redis will not do it until a person changes something.
        """
        try:
            return call.result(await self.command(*call.evalsha_args()))
        except _NoScript:
            return call.result(await self.command(*call.eval_args()))

    async def run_until_done(self, call: ScriptCall[T]) -> T:
        """Carry out a transition, repeating it until Redis answers; transitions may be repeated (I16)."""
        return await self.until_done(lambda: self.run(call))

    async def until_done(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat ``attempt`` until it does not end in a Redis error.

        A refusal is waited out as well: rights may be given back, and results must not be thrown away
        meanwhile.
        """
        pauses = self._links.pauses()
        while True:
            try:
                return await attempt()
            except (RedisGone, RedisRefused):
                await pauses.pause()

    async def command(self, *args: Text) -> Any:
        """Send one command and return its raw reply.

        Raises:
            RedisGone: See :meth:`run`.
            RedisRefused: See :meth:`run`.
        """
        async with self._lock:
            task = asyncio.current_task()
            cancels = task.cancelling() if task is not None else 0
            try:
                reply = await self._exchange(args)
            except (AuthenticationError, BusyLoadingError, ResponseError) as error:
                raise self._translate(error) from error
            except (RedisError, OSError, TimeoutError) as error:
                raise self._gone(error) from error
            finally:
                # The client library swallows a cancellation that arrives while it connects; a service would
                # go on for ever.
                if task is not None and task.cancelling() > cancels:
                    raise asyncio.CancelledError
        self._links.back()
        self._outages = self._links.outages
        return reply

    async def _exchange(self, args: tuple[Text, ...]) -> Any:
        # The connection itself rather than the client: a link has one, so there is no pool to ask, and
        # packing in C instead of Python takes a fifth off the orchestrator's work per job.
        connection = self._connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            writer = connection._writer
            if writer is not None and writer.is_closing():
                # Python 3.12.1 would register a write to it, under a file number the next connection may get.
                raise ConnectionResetError("the connection is closing")
            packed = hiredis.pack_command(cast(Any, args))
            await connection.send_packed_command([packed], check_health=False)
            return await connection.read_response()
        except ResponseError:
            raise
        except RuntimeError as error:
            # What uvloop says of a write to a connection that was closed a moment ago.
            await connection.disconnect(nowait=True)
            raise ConnectionResetError(f"the connection broke: {error}") from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    def _translate(self, error: RedisError) -> Exception:
        match classify_reply(reply_of(error)):
            case RedisFault.NO_SCRIPT:
                return _NoScript()
            case RedisFault.CONFIGURATION:
                return self._refused(error)
            case RedisFault.BUG:
                return error
        return self._gone(error)

    def _gone(self, error: Exception) -> RedisGone:
        problem = str(error) or type(error).__name__
        if self._outages == self._links.outages:
            self._links.lost(self.name, problem)
        # Else this connection broke in an outage that another link has told of, and maybe seen the end of.
        self._outages = self._links.outages
        return RedisGone(self._links.address, problem)

    def _refused(self, error: Exception) -> RedisRefused:
        if self._links.reached:
            # Before, the process ends with this error, which needs no second message.
            self._links.lost(self.name, str(error))
        return RedisRefused(self._links.address, str(error))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect()


class _NoScript(Exception):
    """Redis does not know the script (any more)."""
