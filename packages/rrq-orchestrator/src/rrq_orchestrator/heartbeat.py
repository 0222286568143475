"""Proof of life: one lease per process, renewed by a thread with its own connection (RELIABILITY.md 6.2,
6.3).

The thread keeps beating while the event loop is busy, but not when the loop has been stuck for half a lease:
a hung orchestrator must be declared dead, not linger. A fenced one takes a new id, registers and goes on; its
old claims belong to others.

Whether it was fenced, or Redis lost what it held, shows when it registers again (:mod:`.state_loss`).

Most beats renew the lease alone, which costs Redis less: the report goes with every third, or when there is
news.

Who writes what: ``_id``, ``_known``, ``_unknown``, ``_registered``, ``_renewed_s``, ``_report`` and ``_news``
belong to the event loop; the thread reads the id, the report and the count of news, and tells the loop what
happened through ``call_soon_threadsafe``.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import redis as redis_client
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.identity import new_orchestrator_id
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.state_loss import LOSS_ACTION, state_loss
from rrq_orchestrator.store.redis import RedisLinks
from rrq_protocol import Keyspace, RedisFault, ScriptCall, Text, classify_reply, reply_of
from rrq_protocol.settings import RedisTarget, connection_pool
from rrq_protocol.transitions import Lease, Registered, deregister, heartbeat, register

__all__ = ["Heartbeat", "HeartbeatTimes", "Reports"]

_NEXT_TRY_S = 0.25


class HeartbeatTimes(msgspec.Struct, frozen=True):
    """Durations in seconds: the lease, the beat that renews it, and how long a report lives. One beat of
    ``report_beats`` brings a new report.
    """

    lease_s: float = 10.0
    beat_s: float = 2.0
    report_ttl_s: float = 70.0
    report_beats: int = 3


class Heartbeat:
    """Keeps this process in ``rrq:workers``. ``orchestrator_id`` is the current incarnation; ``state_losses``
    counts how often Redis had lost what it held.
    """

    name = "heartbeat"

    def __init__(
        self,
        *,
        keyspace: Keyspace,
        url: RedisTarget | str,
        times: HeartbeatTimes,
        report: Callable[[str], bytes],
        on_fenced: Callable[[str], None],
        links: RedisLinks,
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self._links = links
        self._target = RedisTarget.of(url) if isinstance(url, str) else url
        self._keyspace, self._times = keyspace, times
        self._build_report, self._on_fenced, self._log = report, on_fenced, log
        self.state_losses = 0
        self._id = new_orchestrator_id()
        self._known: Registered | None = None
        self._unknown = ""
        self._report, self._news = b"{}", 0
        self._registered = asyncio.Event()
        self._looped_s = self._renewed_s = time.monotonic()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()

    @property
    def orchestrator_id(self) -> str:
        """The id claims are made under."""
        return self._id

    async def registered(self) -> None:
        """Wait until the current id is known to Redis."""
        await self._registered.wait()

    @property
    def is_registered(self) -> bool:
        """Whether claims can be made."""
        return self._registered.is_set()

    @property
    def renewed_s(self) -> float:
        """When the beat was sent that last renewed the lease; monotonic seconds."""
        return self._renewed_s

    def hurry(self) -> None:
        """Beat soon, for there is something new to report."""
        # In this order: whoever sees that there is news sees the news.
        self._report = self._build_report(self._id)
        self._news += 1
        self._hurry.set()

    def fenced(self, orchestrator_id: str) -> None:
        """Note that Redis does not know ``orchestrator_id`` any more; take a new id, unless that happened
        already. Why is told when that is registered.
        """
        if orchestrator_id != self._id:
            return
        self._registered.clear()
        self._unknown = orchestrator_id
        self._id = new_orchestrator_id()
        self._on_fenced(orchestrator_id)
        self.hurry()

    async def run(self) -> None:
        """Register and beat until cancelled."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._beat_forever, args=(loop,), name="rrq-heartbeat", daemon=True
        )
        self._tick()
        self._thread.start()
        try:
            while True:
                self._tick()
                await asyncio.sleep(min(self._times.beat_s, self._times.lease_s / 4) / 2)
        finally:
            self._stopping.set()
            self._hurry.set()

    async def stopped(self) -> None:
        """Wait until the thread beats no more, so that nothing registers again behind a deregistration."""
        self._stopping.set()
        self._hurry.set()
        if self._thread is not None:
            await self._ended.wait()

    def _tick(self) -> None:
        self._report = self._build_report(self._id)
        self._looped_s = time.monotonic()

    # In the thread.

    def _beat_forever(self, loop: asyncio.AbstractEventLoop) -> None:
        client = self._client()
        known, reports = "", Reports(self._times.report_beats)
        while not self._stopping.is_set():
            self._hurry.clear()
            current = self._id
            pause_s = self._times.beat_s
            if time.monotonic() - self._looped_s < self._times.lease_s / 2:
                try:
                    known = self._beat(client, loop, current, known, reports)
                except Exception as error:  # noqa: BLE001 - a thread that ended would do so without a word
                    # Here only the next try matters, soon; maybe the address leads to another server by then.
                    pause_s = min(self._times.beat_s, _NEXT_TRY_S)
                    reports = Reports(self._times.report_beats)
                    client.connection_pool.disconnect()
                    self._tell(loop, partial(self._failed, error))
            self._hurry.wait(pause_s)
        client.close()
        # The loop may be closed: a process that has to end does not wait for a thread that waits for Redis.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended.set)

    def _beat(
        self,
        client: "redis_client.Redis",
        loop: asyncio.AbstractEventLoop,
        current: str,
        known: str,
        reports: "Reports",
    ) -> str:
        times, sent_s, news = self._times, time.monotonic(), self._news
        is_due = known != current or reports.due(news)
        report = self._report if is_due else b""
        lease = Lease(current, int(times.lease_s * 1000), report, int(times.report_ttl_s * 1000))
        if known != current:
            registered = _run(client, register(self._keyspace, lease))
            self._tell(loop, partial(self._now_registered, current, registered))
        elif _run(client, heartbeat(self._keyspace, lease)).fenced:
            self._tell(loop, partial(self.fenced, current))
            return ""
        reports.beaten(news, reported=is_due)
        self._tell(loop, partial(self._done, sent_s))
        return current

    def _done(self, sent_s: float) -> None:
        self._renewed_s = sent_s
        self._links.written()
        self._links.allowed(self.name)
        self.passes.done()

    def _failed(self, error: Exception) -> None:
        """Say what Redis refuses. Of outages the links tell, which have something to do all the time."""
        if not isinstance(error, RedisError | OSError):
            self._log.error("heartbeat.failed", problem=f"{type(error).__name__}: {error}", exc_info=error)
        elif not isinstance(error, ResponseError | AuthenticationError):
            self._log.debug("heartbeat.failed", problem=str(error))
        elif self._links.explain(self.name, error) is error:
            self._log.error("heartbeat.failed", problem=str(error))

    def _tell(self, loop: asyncio.AbstractEventLoop, what: Callable[[], Any]) -> None:
        # The loop may be closing while the last beat is on its way.
        if not self._stopping.is_set():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(what)

    def _now_registered(self, orchestrator_id: str, registered: Registered) -> None:
        if orchestrator_id == self._id:
            self._tell_why(registered)
            self._known, self._unknown = registered, ""
            self._log.info("orchestrator.registered", orchestrator=orchestrator_id)
            self._registered.set()

    def _tell_why(self, registered: Registered) -> None:
        """Say why Redis did not know us any more, if that is so."""
        if not self._unknown:
            return
        problem = state_loss(self._known, registered)
        if problem is None:
            self._log.warning("orchestrator.was_fenced", orchestrator=self._unknown)
            return
        self.state_losses += 1
        self._log.error(
            "redis.state_lost",
            address=self._links.address,
            orchestrator=self._unknown,
            problem=problem,
            action=LOSS_ACTION,
        )

    def _client(self) -> "redis_client.Redis":
        assert self._target.url is not None
        over_tcp = not self._target.url.reveal().startswith("unix:")
        timeout_s = max(0.5, self._times.lease_s / 2)
        pool = connection_pool(
            self._target,
            redis_client,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            **({"socket_keepalive": True} if over_tcp else {}),
        )
        return redis_client.Redis.from_pool(pool)

    def leave(self) -> ScriptCall[int]:
        """Return the call that takes the current id off the list, for a clean stop."""
        return deregister(self._keyspace, self._id)


class Reports:
    """Says with which beats the report goes: the first, one of ``every``, and where there is news. Start anew
    after a beat that failed: what it has written is not known.
    """

    def __init__(self, every: int) -> None:
        self._every, self._since, self._told = every, 0, -1

    def due(self, news: int) -> bool:
        """Return whether the next beat has to report, when so much news has come by now."""
        return news != self._told or self._since + 1 >= self._every

    def beaten(self, news: int, *, reported: bool) -> None:
        """Note a beat that Redis answered."""
        self._since = 0 if reported else self._since + 1
        if reported:
            self._told = news


def _run(client: "redis_client.Redis", call: ScriptCall[Any]) -> Any:
    try:
        return call.result(_send(client, call.evalsha_args()))
    except ResponseError as error:
        if classify_reply(reply_of(error)) is not RedisFault.NO_SCRIPT:
            raise
        return call.result(_send(client, call.eval_args()))


def _send(client: "redis_client.Redis", args: tuple[Text, ...]) -> object:
    return client.execute_command(*args)  # type: ignore[no-untyped-call]
