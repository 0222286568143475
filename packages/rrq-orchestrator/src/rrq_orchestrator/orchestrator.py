"""The orchestrator: its parts, put together, started and stopped (ARCHITECTURE.md *One job's way*).

Shutdown (RELIABILITY.md 6.8): claim nothing more, let attempts finish, ask the rest to end, end the runners,
release what is left, write all ends to Redis, leave. A second request skips the waiting: the runners are
killed, and two seconds are left to tell Redis. Nothing is given up while Redis can be told of it.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from importlib.metadata import version

import structlog
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.arrival import arrive
from rrq_orchestrator.claim import ClaimLoop
from rrq_orchestrator.control import Control
from rrq_orchestrator.correlation import correlating
from rrq_orchestrator.cron import ENTRY_REFUSED, cron_entries, strays, watched_queues
from rrq_orchestrator.cron.service import Cron
from rrq_orchestrator.decision import Policy
from rrq_orchestrator.dispatch import Dispatcher
from rrq_orchestrator.farewell import Farewell, StopRequest
from rrq_orchestrator.heartbeat import Heartbeat
from rrq_orchestrator.http import Endpoint, View
from rrq_orchestrator.overlap import OverlapGuard
from rrq_orchestrator.plan import (
    audit_rules,
    claim_plan,
    dispatch_limits,
    heartbeat_times,
    recovery_policy,
    routes,
)
from rrq_orchestrator.reconciler import Reconciler
from rrq_orchestrator.recovery import Janitor
from rrq_orchestrator.report import build_report
from rrq_orchestrator.runners.base import Runner
from rrq_orchestrator.runners.factory import RunnerFactory, runner_factory
from rrq_orchestrator.runners.in_process import InProcessRunner
from rrq_orchestrator.service import Perseverance, Service
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store import Advice, RedisLinks
from rrq_orchestrator.telling import Narrator
from rrq_orchestrator.tracing import AttemptTracing
from rrq_orchestrator.unused import WITHOUT_EFFECT, without_effect
from rrq_orchestrator.waker import Waker
from rrq_protocol import (
    Clock,
    Keyspace,
    Settings,
    SettingsError,
    SystemClock,
    script_names,
    script_sha,
)
from rrq_protocol.settings import RedisTarget, resolve_redis, served_queues
from rrq_protocol.transitions import deregister

__all__ = ["EXIT_FORCED", "EXIT_OK", "EXIT_UNEXPECTED", "Orchestrator", "RunnerFactory"]

EXIT_OK, EXIT_UNEXPECTED, EXIT_FORCED = 0, 1, 3
_LAST_CALL_S, _SHORTEST_LAST_CALL_S = 6.0, 1.0
_CLEAN_UP_S = 0.5
"""What is cancelled at the end of the grace has so long: a stop takes the grace and a second (G19)."""


class Orchestrator:
    """One orchestrator process.

    Args:
        settings: Everything configured.
        url: Redis, by its URL with the password or as a target; by default the one the settings mean.
        address: The same for messages, without the password.
        advice: What to tell people whose Redis is away.
        runners: Runners by name that take the place of those of the settings, in this process; or what makes
            all of them. By default those of the settings, as processes.
        burst: End once no job is ready and none runs, or when no runner works.
        log: Where events go.
        clock: Time; tests give their own.
        rng: Randomness of backoff and jitter.

    Raises:
        SettingsError: The settings name an embedded Redis that is not running, or a runner that cannot work;
            or a runner is given under what cannot be the name of one.
        TypeError: ``runners`` holds something else than runners.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        url: RedisTarget | str | None = None,
        address: str = "",
        advice: Advice | None = None,
        runners: RunnerFactory | Mapping[str, InProcessRunner] | None = None,
        burst: bool = False,
        log: FilteringBoundLogger | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if url is None:
            url = _redis_of(settings)
            address, advice = url.display, Advice.about(url)
        self._settings, self._burst = settings, burst
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()
        self._rng = rng or random.Random()
        clock = clock or SystemClock()
        self._keyspace = keyspace = Keyspace(settings.key_prefix)
        address = address or (RedisTarget.of(url) if isinstance(url, str) else url).display
        self._links = RedisLinks(url, address, self._log, self._rng, advice)
        self._pools: list[asyncio.Task[None]] = []
        self._perseverance = Perseverance(self._links.pauses, self._log, burst=burst)
        self._status = "running"
        self._stop = StopRequest()
        self._last_link = self._links.make("lifecycle")
        self._version = version("rrq-orchestrator")
        route = routes(settings)
        self.settler = Settler(
            keyspace,
            self._links.make("settle"),
            self._log,
            job_events=settings.job_events,
            compat_job_locks=settings.compat_job_locks,
        )
        self.dispatcher = Dispatcher(
            routes=route,
            policy=Policy.of(settings),
            limits=dispatch_limits(settings),
            settler=self.settler,
            clock=clock,
            rng=self._rng,
            log=self._log,
            tracing=AttemptTracing.if_enabled(),
            correlate=correlating(settings.correlation_mappings),
        )
        if settings.log_level == "debug":
            self.dispatcher.narrator = Narrator(self._log.debug)
        self.heartbeat = Heartbeat(
            keyspace=keyspace,
            url=url,
            times=heartbeat_times(settings),
            report=self._report,
            on_fenced=lambda _: self.dispatcher.disown_all(),
            links=self._links,
            log=self._log,
        )
        self.waker = Waker(keyspace, self._links.make("wake"), self._links, self._on_wake)
        self.claims = ClaimLoop(
            claim_plan(settings, burst=burst),
            keyspace=keyspace,
            link=self._links.make("claim"),
            links=self._links,
            membership=self.heartbeat,
            waker=self.waker,
            dispatcher=self.dispatcher,
            settler=self.settler,
            routes=route,
            clock=clock,
            rng=self._rng,
            log=self._log,
        )
        self.control = Control(
            keyspace=keyspace,
            link=self._links.make("control"),
            links=self._links,
            membership=self.heartbeat,
            dispatcher=self.dispatcher,
            drain=self._drain,
            log=self._log,
        )
        self.janitor = Janitor(
            keyspace=keyspace,
            link=self._links.make("recovery"),
            links=self._links,
            policy=recovery_policy(settings),
            lease_s=settings.lease_seconds,
            beat_s=settings.lease_beat_seconds,
            clock=clock,
            rng=self._rng,
            log=self._log,
        )
        self.reconciler = Reconciler(
            keyspace=keyspace,
            link=self._links.make("reconciler"),
            rules=audit_rules(settings),
            lease_s=settings.lease_seconds,
            interval_s=settings.reconcile_interval_seconds,
            clock=clock,
            rng=self._rng,
            log=self._log,
        )
        entries, self._bad_entries = cron_entries(settings)
        self.cron = Cron(
            entries,
            keyspace=keyspace,
            link=self._links.make("cron"),
            links=self._links,
            clock=clock,
            log=self._log,
        )
        self.farewell = Farewell(
            settler=self.settler,
            claims=self.claims,
            heartbeat=self.heartbeat,
            links=self._links,
            link=self._last_link,
            log=self._log,
        )
        make = runner_factory(settings, runners, log=self._log, random=self._rng)
        self.runners: Mapping[str, Runner] = make(self.dispatcher)
        self.dispatcher.connect(self.runners, self.claims.capacity_freed, self.heartbeat.hurry)
        self.overlap = OverlapGuard(
            renewals=self.heartbeat,
            lease_s=settings.lease_seconds,
            attempts=self.dispatcher.attempts,
            runners=self.runners,
            clock=clock,
            log=self._log,
        )
        self.endpoint = Endpoint(
            settings.http.address,
            View(
                version=self._version,
                queues=watched_queues(settings),
                dlqs=[settings.default_dlq_name],
                keyspace=keyspace,
                link=self._links.make("http"),
                links=self._links,
                settler=self.settler,
                dispatcher=self.dispatcher,
                heartbeat=self.heartbeat,
                janitor=self.janitor,
                claims=self.claims,
                stopping=self._stop.asked.is_set,
                failing=self._perseverance.failing,
            ),
            self._log,
        )

    def request_stop(self, reason: str | None = None) -> None:
        """Ask for an orderly stop; asked again, the running attempts are not waited for. Callable from signal
        handlers. Jobs that are given back remember the ``reason``.
        """
        if reason is not None:
            self.dispatcher.leaving = reason
        self._stop.ask()

    def request_restart(self) -> None:
        """Replace all runner processes, each once its successor answers: nothing is lost (F81). Callable from
        signal handlers.
        """
        for runner in self.runners.values():
            runner.recycle()

    async def run(self) -> int:
        """Work until stopped.

        Returns:
            The exit code: 0 after a clean stop, 1 after an unexpected end, 3 when ends of attempts could not
            be written.

        Raises:
            RedisRefused: Redis does not accept us (password, rights).
            SettingsError: ``http.address`` cannot be had.
        """
        for name in script_names():
            script_sha(name)  # read now: later there may be no descriptor left, or another version (F91, F98)
        try:
            await self.endpoint.open()
            hello = deregister(self._keyspace, self.heartbeat.orchestrator_id)
            if not await arrive(self._links, self._last_link, hello, self._stop):
                return EXIT_OK
            return await self._work()
        finally:
            await self.endpoint.close()
            await self._links.aclose()

    async def _work(self) -> int:
        code = EXIT_UNEXPECTED
        try:
            async with asyncio.TaskGroup() as tasks:
                claiming = tasks.create_task(self._perseverance.of(self.claims).run(), name="claim")
                running = [tasks.create_task(each.run(), name=each.name) for each in self._services()]
                named = [(f"runner {name}", runner) for name, runner in self.runners.items()]
                self._pools = [tasks.create_task(runner.run(), name=name) for name, runner in named]
                self._log.info(
                    "orchestrator.started",
                    queues=list(served_queues(self._settings)),
                    runners=sorted(self.runners),
                )
                if keys := without_effect(self._settings):
                    self._log.warning("settings.without_effect", keys=list(keys), action=WITHOUT_EFFECT)
                if not self._burst:
                    for problem in self._bad_entries:
                        self._log.error("cron.entry_refused", problem=problem, action=ENTRY_REFUSED)
                    for entry, fields in strays(self._settings, self.runners):
                        self._log.warning("cron.unserved", entry=entry, **fields)
                await self._until_stop()
                in_vain = self._burst and bool(self.runners) and self.dispatcher.hopeless
                code = await self._wind_down(claiming)
                if in_vain and code == EXIT_OK:
                    code = EXIT_UNEXPECTED
                for task in (*running, *self._pools):
                    task.cancel()
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                self._log.error(
                    "orchestrator.failed", error=f"{type(error).__name__}: {error}", exc_info=error
                )
            return EXIT_UNEXPECTED
        finally:
            await self._stop_runners()
        return code

    def _services(self) -> tuple[Service, ...]:
        own: list[Service] = [self.heartbeat, self.settler]
        shared: list[Service] = [self.waker, self.control, self.janitor, self.reconciler]
        own += [self.overlap] if self._settings.overlap == "prevent" else []
        shared += [self.cron] if self._settings.cron_jobs and not self._burst else []
        return (*own, *map(self._perseverance.of, shared))

    async def _until_stop(self) -> None:
        waits = [asyncio.ensure_future(self._stop.asked.wait())]
        if self._burst:
            waits.append(asyncio.ensure_future(self.claims.exhausted.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wind_down(self, claiming: "asyncio.Task[None]") -> int:
        self._status = "stopping"
        self.heartbeat.hurry()
        self._log.info("orchestrator.stopping", active_jobs=len(self.dispatcher.attempts))
        now_s = asyncio.get_running_loop().time
        grace_s = self._settings.worker_shutdown_grace_period_seconds
        grace_ends_s = now_s() + grace_s
        self.claims.stop()
        self.dispatcher.release_waiting()
        # Attempts go on meanwhile. A Redis that hangs gets no more of the grace than there is.
        last_call_s = min(_LAST_CALL_S, max(_SHORTEST_LAST_CALL_S, grace_s))
        await self._stop.within(last_call_s, asyncio.wait([claiming]))
        claiming.cancel()
        await self._stop.within(grace_ends_s - now_s(), self.dispatcher.drained())
        ask = self._settings.runner_enable_inflight_cancel_hints
        if ask and len(self.dispatcher.attempts) and not self._stop.urgent.is_set():
            self.dispatcher.release_all()
            # Sooner than an attempt without an answer is given up, and its process replaced in order.
            clean_up_s = min(_CLEAN_UP_S, self._settings.runner_cancel_grace_seconds * 0.9)
            await self._stop.within(clean_up_s, self.dispatcher.drained())
        # What did not hear the cancel would not hear SIGTERM either: a plain function in a thread hears none.
        await self._stop_runners(patient=not len(self.dispatcher.attempts))
        self.dispatcher.forget_all()
        return EXIT_OK if await self.farewell.take(self._stop, grace_ends_s - now_s()) else EXIT_FORCED

    async def _stop_runners(self, *, patient: bool = True) -> None:
        """End the runners in order; at once when a second stop was asked for.

        Unless ``patient``, those processes that still have attempts are killed meanwhile.
        """
        stopping = asyncio.gather(*(runner.stop(patient=patient) for runner in self.runners.values()))
        with contextlib.suppress(asyncio.CancelledError):
            await self._stop.within(float("inf"), asyncio.shield(stopping))
            if not stopping.done():
                for pool in self._pools:
                    pool.cancel()
            await stopping

    def _drain(self) -> None:
        """Stop in order because an operator asked; unlike a second signal, asking again changes nothing."""
        if not self._stop.asked.is_set():
            self.request_stop("its orchestrator was drained")

    def _on_wake(self, queue: str) -> None:
        self.claims.wake(queue)

    def _report(self, orchestrator_id: str) -> bytes:
        return build_report(
            orchestrator_id,
            version=self._version,
            status=self._status if self._links.connected else "disconnected",
            refused=self._links.refused_work,
            active_jobs=len(self.dispatcher.attempts),
            concurrency=self._settings.worker_concurrency,
            queues=list(served_queues(self._settings)),
            runners=self.runners,
            outbox=self.settler.waiting,
        )


def _redis_of(settings: Settings) -> RedisTarget:
    """Return the Redis that ``settings`` mean."""
    target = resolve_redis(settings)
    if target.url is None:
        raise SettingsError([target.problem or f"rrq.redis_dsn: cannot use {target.display}"])
    return target
