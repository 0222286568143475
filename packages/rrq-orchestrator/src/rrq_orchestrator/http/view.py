"""Gathers the facts about an orchestrator from its parts, and from Redis."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from rrq_orchestrator.claim import ClaimLoop
from rrq_orchestrator.dispatch import Dispatcher
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.heartbeat import Heartbeat
from rrq_orchestrator.http.facts import DeadLetterFacts, Facts, QueueFacts, RunnerFacts
from rrq_orchestrator.meters import Meters
from rrq_orchestrator.recovery import Janitor
from rrq_orchestrator.runners.base import Runner
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store import RedisLink, RedisLinks
from rrq_protocol import Keyspace

__all__ = ["View"]

_REDIS_S: Final = 2.0
"""For Redis to tell the sizes of queues, before an answer goes out without them."""
_FRESH_S: Final = 1.0
"""So long sizes are not asked for again, however often somebody asks us."""

Sizes = tuple[tuple[QueueFacts, ...], tuple[DeadLetterFacts, ...]]


class View:
    """Event loop only.

    Args:
        queues, dlqs: The names whose sizes are told: those served, and where their dead letters go.
        stopping: Whether a stop was asked for.
        failing: Names of services that fail, again and again.
    """

    def __init__(
        self,
        *,
        version: str,
        queues: Sequence[str],
        dlqs: Sequence[str],
        keyspace: Keyspace,
        link: RedisLink,
        links: RedisLinks,
        settler: Settler,
        dispatcher: Dispatcher,
        heartbeat: Heartbeat,
        janitor: Janitor,
        claims: ClaimLoop,
        stopping: Callable[[], bool],
        failing: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._version, self._queues, self._dlqs = version, queues, dlqs
        self._keyspace, self._link, self._links = keyspace, link, links
        self._settler, self._dispatcher, self._heartbeat = settler, dispatcher, heartbeat
        self._janitor, self._claims, self._stopping = janitor, claims, stopping
        self._failing = failing
        self._asking = asyncio.Lock()
        self._sizes: tuple[float, Sizes | None] = (-math.inf, None)

    @property
    def meters(self) -> Meters:
        """What is counted on the way of jobs."""
        return self._dispatcher.meters

    def facts(self, sizes: Sizes | None = None) -> Facts:
        """Return how things are, without asking anybody."""
        queues, dead_letters = sizes if sizes is not None else (None, None)
        return Facts(
            version=self._version,
            stopping=self._stopping(),
            failing=self._failing(),
            redis_connected=self._links.connected,
            redis_refuses_writes=self._links.refuses_writes,
            redis_refuses=self._links.refused_work,
            redis_outages=self._links.outages,
            redis_state_lost=self._heartbeat.state_losses,
            registered=self._heartbeat.is_registered,
            outbox=self._settler.waiting,
            outbox_bytes=self._settler.waiting_bytes,
            outbox_full=self._settler.is_full,
            active=len(self._dispatcher.attempts),
            claims=self._claims.passes.count,
            recovered=self._janitor.recovered,
            settled={reply.value: count for reply, count in self._settler.replies.items()},
            runners=tuple(_runner(name, runner) for name, runner in self._dispatcher.runners.items()),
            queues=queues,
            dead_letters=dead_letters,
        )

    async def sizes(self) -> Sizes | None:
        """Return how many jobs wait in Redis; None where it does not say in time."""
        async with self._asking:
            now_s = asyncio.get_running_loop().time()
            if not self._links.connected or not self._links.reached:
                return None
            if now_s - self._sizes[0] >= _FRESH_S:
                self._sizes = (now_s, await self._ask())
            return self._sizes[1]

    async def _ask(self) -> Sizes | None:
        keys = self._keyspace
        try:
            async with asyncio.timeout(_REDIS_S):
                seconds, micros = await self._link.command("TIME")
                now_ms = int(seconds) * 1000 + int(micros) / 1000
                commands: list[tuple[Any, ...]] = []
                for name in self._queues:
                    key = keys.queue(name)
                    commands += [
                        ("ZCARD", key),
                        ("ZCOUNT", key, "-inf", f"{now_ms:.3f}"),
                        ("ZRANGE", key, 0, 0, "WITHSCORES"),
                        ("SISMEMBER", keys.paused, name),
                    ]
                commands += [("LLEN", keys.dlq(name)) for name in self._dlqs]
                replies = await self._link.batch(commands)
        except (RedisGone, RedisRefused, TimeoutError):
            return None
        rows = [replies[4 * i : 4 * i + 4] for i in range(len(self._queues))]
        queues = (_queue(name, row, now_ms) for name, row in zip(self._queues, rows, strict=True))
        counts = zip(self._dlqs, replies[4 * len(rows) :], strict=True)
        dead = tuple(DeadLetterFacts(name, count) for name, count in counts if isinstance(count, int))
        return tuple(each for each in queues if each is not None), dead


def _queue(name: str, replies: Sequence[Any], now_ms: float) -> QueueFacts | None:
    if any(isinstance(reply, Exception) for reply in replies):
        return None  # a key of another kind; `rrq doctor` says more
    jobs, ready, first, paused = replies
    due_ms = float(first[1]) if first else math.inf
    oldest_s = (now_ms - max(due_ms, 0.0)) / 1000 if due_ms <= now_ms else 0.0
    return QueueFacts(name, ready, max(0, jobs - ready), oldest_s, paused == 1)


def _runner(name: str, runner: Runner) -> RunnerFacts:
    history = runner.history
    return RunnerFacts(
        name,
        runner.state,
        runner.capacity,
        runner.free,
        runner.processes,
        len(runner.pids()),
        history.restarts,
        history.last_error,
    )
