"""Connections to Redis that outlive its restarts (RELIABILITY.md 6.8 *Redis loss*).

Each service has a :class:`RedisLink` of its own, so a blocking read never delays a claim. A link does one
command at a time; a command that is cancelled or fails closes the connection, so that no later command can
read its reply (S31).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import hiredis
import redis.asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.store.advice import Advice
from rrq_orchestrator.store.condition import Condition
from rrq_protocol import RedisFault, ScriptCall, Text, classify_reply, reply_of
from rrq_protocol.settings import RedisTarget, lone_connection
from rrq_protocol.testing import reach

__all__ = ["NEEDED_LINKS", "NoScript", "RedisLink", "RedisLinks"]

T = TypeVar("T")

COMMAND_TIMEOUT_S = 5.0
_SLOWEST_BYTES_PER_S, _LARGE_BYTES = 64 * 1024, 64 * 1024
"""A large command is given the time it takes over a link as slow as this one; what was written may still lie
in buffers of the system."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
NEEDED_LINKS = ("heartbeat", "claim", "settle")
"""Without one of these no job is taken, or none ends."""
_REFUSED_WRITES = frozenset({"READONLY", "MISCONF", "NOREPLICAS"})


class RedisLinks:
    """Makes the links of one process and knows how Redis is. Event loop only.

    ``connected`` is what readiness reports: Redis answers, and takes writes. ``reached`` says whether the
    process has begun to work with it, ``outages`` how often it was lost since.

    * It does not answer: ``redis.lost``, until any link gets an answer: ``redis.back``.
    * It answers and refuses writes, as a replica does: ``redis.refuses_writes``, until the heartbeat got one
      through: ``redis.takes_writes``.
    * It refuses one command, for want of a right: ``redis.refused``, until it is carried out:
      ``redis.allowed``. Where jobs need it, ``refused_work`` says what.

    Each is told again while it lasts (:mod:`.condition`), with what to do (:mod:`.advice`).
    """

    def __init__(
        self,
        url: RedisTarget | str,
        address: str,
        log: FilteringBoundLogger,
        rng: random.Random,
        advice: Advice | None = None,
    ) -> None:
        self.address, self.reached = address, False
        self.outages = 0
        self._target = RedisTarget.of(url) if isinstance(url, str) else url
        self._rng = rng
        self._advice = advice or Advice()
        self._log = log.bind(address=address)
        self._away = Condition(self._log, "redis.lost", "redis.still_lost", "redis.back")
        self._unwritable = Condition(
            self._log, "redis.refuses_writes", "redis.still_refuses_writes", "redis.takes_writes"
        )
        self._refusals: dict[str, Condition] = {}
        self._refused_with: dict[str, str] = {}
        self._links: list[RedisLink] = []

    @property
    def connected(self) -> bool:
        """Whether Redis answers and takes writes, as far as is known."""
        return not self._away.holds and not self._unwritable.holds

    @property
    def refuses_writes(self) -> bool:
        """Whether it answers, but refuses writes."""
        return self._unwritable.holds and not self._away.holds

    @property
    def refused_work(self) -> str:
        """What taking and ending jobs needs and Redis refuses, with its words; else empty."""
        found = ((link, self._refusals.get(link)) for link in NEEDED_LINKS)
        return "; ".join(f"{link}: {self._refused_with[link]}" for link, each in found if each and each.holds)

    def make(self, name: str, *, reply_timeout_s: float = COMMAND_TIMEOUT_S) -> "RedisLink":
        """Return a new link; ``reply_timeout_s`` must exceed the longest blocking read on it."""
        assert self._target.url is not None
        over_tcp = not self._target.url.reveal().startswith("unix:")
        connection = lone_connection(
            self._target,
            aioredis,
            protocol=2,
            max_connections=1,
            socket_timeout=reply_timeout_s,
            socket_connect_timeout=COMMAND_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **({"socket_keepalive": True} if over_tcp else {}),
        )
        link = RedisLink(name, connection, self)
        self._links.append(link)
        return link

    def pauses(self) -> "Pauses":
        """Return the pauses between attempts to reach Redis: doubling from 50 ms to 2 s, jittered."""
        return Pauses(self._rng)

    def lost(self, link: str, problem: str) -> None:
        """Note that Redis does not answer."""
        if not self._away.holds:
            self.outages += 1
        self._away.begin(link=link, problem=problem, action=self.advise(problem))

    def back(self) -> None:
        """Note that Redis answers."""
        self._away.end()

    def unwritable(self, link: str, problem: str) -> None:
        """Note that Redis answers and refuses writes."""
        self._unwritable.begin(link=link, problem=problem, action=self.advise(problem))

    def written(self) -> None:
        """Note that Redis took a write that it would have refused."""
        self._unwritable.end()

    def refused(self, link: str, problem: str) -> None:
        """Note that Redis refuses a command of a link."""
        if self.reached:
            # Before, the process ends with this error, which needs no second message.
            names = ("redis.refused", "redis.still_refused", "redis.allowed")
            refusal = self._refusals.setdefault(link, Condition(self._log.bind(link=link), *names))
            refusal.begin(problem=problem, action=self.advise(problem))
            self._refused_with[link] = problem

    def allowed(self, link: str) -> None:
        """Note that Redis carries out again what it had refused."""
        if link in self._refusals:
            self._refusals[link].end()

    def explain(self, link: str, error: RedisError) -> Exception | None:
        """Note an error reply, and return what it means to the caller; None for an outage."""
        problem = reply_of(error)
        match classify_reply(problem):
            case RedisFault.NO_SCRIPT:
                return NoScript()
            case RedisFault.CONFIGURATION:
                # A password that is wrong now is wrong for every link; a right may be missing to one.
                if not isinstance(error, AuthenticationError):
                    self.refused(link, problem)
                elif self.reached:
                    self.lost(link, problem)
                return RedisRefused(self.address, problem, self.advise(problem))
            case RedisFault.BUG:
                return error
        code = problem.partition(" ")[0]
        if code == "UNBLOCKED":  # a blocking read, as the server became a replica: it is there
            return RedisGone(self.address, problem)
        if code in _REFUSED_WRITES:
            self.unwritable(link, problem)
            return RedisGone(self.address, problem)
        return None

    def advise(self, problem: str) -> str:
        """Return what to do about an error."""
        return self._advice.on(problem)

    async def aclose(self) -> None:
        """Close all connections."""
        for condition in (self._away, self._unwritable, *self._refusals.values()):
            condition.forget()
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
        self._refused: tuple[Text, ...] = ()
        self._sent = False

    async def run(self, call: ScriptCall[T]) -> T:
        """Carry out a transition once.

        Raises:
            RedisGone: There was no answer, or not the time for one; whether it was carried out is unknown.
            RedisRefused: Redis will not do it until a person changes something.
        """
        try:
            return call.result(await self._script(call, call.evalsha_args()))
        except NoScript:
            return call.result(await self._script(call, call.eval_args()))

    async def _script(self, call: ScriptCall[T], args: tuple[Text, ...]) -> Any:
        # What was refused by its text may be allowed by its hash: somebody else brought it meanwhile.
        (reply,) = await self._ask((args,), ("script", call.script), strict=True)
        return reply

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
        (reply,) = await self._ask((args,), args[:2], strict=True)
        return reply

    async def batch(self, commands: Sequence[tuple[Text, ...]]) -> list[Any]:
        """Send commands in one go and return their raw replies; what was refused is a value among them.

        Raises:
            RedisGone: See :meth:`run`; also when the server cannot serve just now.
            RedisRefused: Redis does not accept us at all.
        """
        return await self._ask(commands, commands[0][:2], strict=False)

    async def _ask(
        self, commands: Sequence[tuple[Text, ...]], asked: tuple[Text, ...], *, strict: bool
    ) -> list[Any]:
        async with self._lock:
            outages = self._links.outages
            task = asyncio.current_task()
            cancels = task.cancelling() if task is not None else 0
            try:
                replies = await self._exchange(commands)
                for reply in replies:
                    if isinstance(reply, ResponseError) and (strict or _passing(reply)):
                        raise reply
            except (AuthenticationError, BusyLoadingError, ResponseError) as error:
                translated = self._links.explain(self.name, error)
                if isinstance(translated, RedisRefused):
                    self._refused = asked
                elif isinstance(translated, RedisGone):
                    # The address may lead to another server by now.
                    await self._connection.disconnect(nowait=True)
                raise (translated or self._gone(error)) from error
            except (RedisError, OSError, TimeoutError) as error:
                raise self._gone(error) from error
            finally:
                # The client library swallows a cancellation that arrives while it connects; a service would
                # go on for ever.
                if task is not None and task.cancelling() > cancels:
                    raise asyncio.CancelledError
        # An answer to what was asked before an outage began may have been on its way when it did.
        if outages == self._links.outages:
            self._links.back()
        if self._refused and self._refused == asked:
            self._refused = ()
            self._links.allowed(self.name)
        self._outages = outages
        return replies

    async def _exchange(self, commands: Sequence[tuple[Text, ...]]) -> list[Any]:
        # The connection itself rather than the client: a link has one, so there is no pool to ask, and
        # packing in C instead of Python takes a fifth off the orchestrator's work per job.
        connection, self._sent = self._connection, False
        try:
            if not connection.is_connected:
                await self._connect()
            reader, writer = connection._reader, connection._writer
            if reader is None or writer is None or writer.is_closing() or reader.at_eof():
                # Python 3.12.1 would register a write to it, under a file number the next connection may get.
                raise ConnectionResetError("the connection was closed by the server")
            if reach is not None:
                _reach(commands, "before")
            packed = [hiredis.pack_command(cast(Any, args)) for args in commands]
            writer.writelines(packed)
            self._sent = True
            if writer.transport.get_write_buffer_size():
                await _drain(writer)
            size = sum(map(len, packed))
            timeout_s = self._answer_time_s(size) if size > _LARGE_BYTES else None
            replies = [await self._reply(timeout_s) for _ in commands]
            if reach is not None:
                _reach(commands, "after")
            return replies
        except ResponseError:
            raise
        except RuntimeError as error:
            # What uvloop says of a write to a connection that was closed a moment ago.
            await connection.disconnect(nowait=True)
            raise ConnectionResetError(f"the connection broke: {error}") from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _connect(self) -> None:
        """Connect; cancelled, give up at once."""
        connecting = asyncio.ensure_future(self._connection.connect())  # type: ignore[no-untyped-call]
        try:
            await asyncio.wait([connecting])
        except asyncio.CancelledError:
            # While it introduces itself to the server, the client library may swallow a cancellation; then it
            # would wait for an answer, as long as it takes.
            connecting.cancel()
            if self._connection._writer is not None:
                self._connection._writer.transport.abort()
            await asyncio.wait([connecting])
            if not connecting.cancelled():
                connecting.exception()
            raise
        connecting.result()

    def _answer_time_s(self, sent_bytes: int) -> float:
        ordinary_s: float = self._connection.socket_timeout or COMMAND_TIMEOUT_S
        return ordinary_s + sent_bytes / _SLOWEST_BYTES_PER_S

    async def _reply(self, timeout_s: float | None = None) -> Any:
        try:
            return await self._connection.read_response(timeout=timeout_s)
        except ResponseError as error:
            return error

    def _gone(self, error: Exception) -> RedisGone:
        problem = str(error) or type(error).__name__
        if self._outages == self._links.outages:
            self._links.lost(self.name, problem)
        # Else this connection broke in an outage that another link has told of, and maybe seen the end of.
        self._outages = self._links.outages
        return RedisGone(self._links.address, problem, sent=self._sent)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect()


def _reach(commands: Sequence[tuple[Text, ...]], where: str) -> None:
    """Tell of crash points around plain commands; calls of scripts tell of theirs themselves."""
    for name in (str(args[0]).lower() for args in commands):
        if reach is not None and not name.startswith("eval"):
            reach(f"{name}.{where}")


async def _drain(writer: asyncio.StreamWriter) -> None:
    """Wait until commands are written, as long as some of it goes out in the time of a command."""
    left = writer.transport.get_write_buffer_size()
    while True:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await writer.drain()
            return
        except TimeoutError:
            before, left = left, writer.transport.get_write_buffer_size()
            if left >= before:
                raise


def _passing(error: ResponseError) -> bool:
    """Return whether an error reply is about the server's state, not about the command."""
    return classify_reply(reply_of(error)) in (RedisFault.RETRY, RedisFault.RECONNECT)


class NoScript(Exception):
    """Redis does not know the script (any more)."""
