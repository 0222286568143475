"""One slot of a pool: keeps one process up, replaces it when it goes, and sees every process of the slot to
its end.

Two tasks per slot at most in ordinary times: :meth:`Slot.run` looks for successors, and one
:meth:`Slot._see_out` per living process owns that process's end, so that a process that drains never delays
its replacement.
"""

import asyncio
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.base import LostCause
from rrq_orchestrator.runners.peer import Peer
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.process import StartFailed
from rrq_orchestrator.runners.states import SlotEvent, SlotState, next_state
from rrq_protocol import RetryPolicy, delay_s

__all__ = ["BROKEN_AFTER", "Slot", "SlotHome"]

BROKEN_AFTER: Final = 3
"""Failed starts in a row after which a slot counts as broken. A connection to an external runner that breaks
before a valid message came is one, too; after so many of those, the next gets one request to try it out."""

_TRUSTED_TIMES: Final = 2
"""So many connections in a row may break without a valid message, where a runner was before, and count as its
deaths: it is restarted, and its work is long. More may be a stranger who took its place, and he alone is to
bring no job to the dead letters, whose default is three deaths."""

_START_BACKOFF: Final = RetryPolicy(base_s=0.2, cap_s=30.0)
_CRASH_BACKOFF: Final = RetryPolicy(base_s=0.2, cap_s=1.0)
_STABLE_S: Final = 10.0
"""A process that lived so long was not broken by its start."""
_TOO_SHORT_S: Final = 1.0
"""One that ended so soon, and without any work, did not really start."""
_RECYCLE_CHECK_S: Final = 5.0
_GROWTH: Final = 2
"""A process that exceeds ``max_rss`` before its first job is replaced when it is so many times as large."""


class SlotHome(Protocol):
    """The pool, as a slot sees it."""

    stopping: bool

    def new_peer(self, slot: int) -> Peer:
        """Make the slot's next process. The pool ends it should the slot's tasks not come to it."""

    def admit(self, peer: Peer) -> None:
        """The process is ready: let it take requests."""

    def lost(self, peer: Peer, cause: LostCause, detail: str) -> int:
        """Report the open requests of a process as lost. Return their number."""

    def forget(self, peer: Peer) -> None:
        """The process is gone."""

    def refresh(self) -> None:
        """The slot's state changed."""

    def large_from_the_start(self, peer: Peer, resident: int) -> None:
        """Log, once, that a process exceeds ``max_rss`` before its first job."""

    def start_failed(self, peer: Peer, detail: str, *, failures: int, retry_s: float) -> None:
        """Log a failed start, once per cause."""


class Slot:
    """See the module. All fields belong to the task that runs :meth:`run`.

    Attributes:
        state: See :mod:`.states`.
        failures: Failed starts in a row.
    """

    def __init__(self, home: SlotHome, plan: PoolPlan, log: FilteringBoundLogger, index: int) -> None:
        self.index = index
        self.state: SlotState = "stopped"
        self.failures = 0
        self._home = home
        self._plan = plan
        self._log = log.bind(slot=index)
        self._crashes = self._unproven = 0
        self._spoke = False
        self._peer: Peer | None = None
        self._on_probation = False
        self._scope = anyio.CancelScope()

    @property
    def broken(self) -> bool:
        """Whether its process failed to start repeatedly, and does not run now, or is on trial."""
        doubtful = self.state != "ready" or (self._peer is not None and self._peer.on_trial)
        return self.failures >= BROKEN_AFTER and doubtful

    @property
    def stale(self) -> bool:
        """Whether its process was to be replaced and works on, because no successor starts."""
        return self.failures > 0 and self._peer is not None and self._peer.outlives

    def stop(self) -> None:
        """Look for no successor any more. Living processes are told by the pool."""
        self._scope.cancel()

    async def run(self, tasks: TaskGroup) -> None:
        """Keep a process up until :meth:`stop` or cancellation; ends of processes are left to ``tasks``."""
        predecessor: Peer | None = None
        with self._scope:
            self._step("start")
            while True:
                peer = await self._bring_up()
                if self._unproven >= BROKEN_AFTER and not peer.proven:
                    peer.try_out()
                peer.trusted = self._spoke and self._unproven < _TRUSTED_TIMES
                self._peer = peer
                self._weigh(peer)
                self._home.admit(peer)
                self._step("answered")
                tasks.start_soon(self._see_out, peer)
                if predecessor is not None:
                    predecessor.retire()
                self._come_home()
                await self._watch(peer)
                predecessor = peer
                match peer.departure:
                    case "quarantine" | "recycle" as reason:
                        if peer.proven:
                            self._recovered()
                        self._step(reason)
                    case "stop":
                        break
                    case _:
                        await self._after_crash(peer)
        self._step("stop")
        self._step("ended")

    async def _bring_up(self) -> Peer:
        while True:
            peer = self._home.new_peer(self.index)
            try:
                async with self._plan.starting:
                    started = asyncio.get_running_loop().time()
                    await peer.open(quiet=self.failures > 0)
                    if self._on_probation:
                        await self._probe(peer)
            except StartFailed as error:
                await self._discard(peer)
                await self._after_failure(peer, str(error))
            except OSError as error:  # such as no descriptor left (F91)
                await self._discard(peer)
                await self._after_failure(peer, f"cannot be started or reached now: {error}")
            except BaseException:
                await self._discard(peer)
                raise
            else:
                took_s = round(peer.ready_at - started, 3)
                peer.log.info("runner.started", took_s=took_s, max_in_flight=peer.limit)
                return peer

    async def _probe(self, peer: Peer) -> None:
        """Give work to a process only once it lived for a moment, where its predecessor did not."""
        with anyio.move_on_after(_TOO_SHORT_S):
            await peer.reached(lambda: peer.over)
        if peer.over:
            await peer.settle()
            raise StartFailed(_short_lived(peer))

    async def _discard(self, peer: Peer) -> None:
        with anyio.CancelScope(shield=True):
            if self._home.stopping:
                await peer.terminate()
            await peer.destroy()
        self._home.forget(peer)

    async def _watch(self, peer: Peer) -> None:
        """Wait until the process needs a successor."""
        config = self._plan.config
        interval = None
        if config.max_age is not None:
            interval = config.max_age
        if config.max_rss is not None:
            interval = min(interval or _RECYCLE_CHECK_S, _RECYCLE_CHECK_S)
        while peer.departure is None:
            with anyio.move_on_after(interval):
                await peer.reached(lambda: peer.departure is not None)
            if reason := self._worn_out(peer):
                peer.log.info("runner.recycled", reason=reason, jobs=peer.total)
                peer.depart("recycle")

    def _worn_out(self, peer: Peer) -> str | None:
        config = self._plan.config
        if peer.departure is not None:
            return None
        age_s = asyncio.get_running_loop().time() - peer.ready_at
        if config.max_age is not None and age_s >= config.max_age:
            return f"max_age: {age_s:.0f} s"
        resident = self._weigh(peer)
        if config.max_rss is not None and peer.total:
            # Its successor would be as large from the start: only growth is worth a new process then.
            limit = config.max_rss if peer.base_bytes <= config.max_rss else _GROWTH * peer.base_bytes
            if resident > limit:
                return f"max_rss: {resident} bytes"
        return None

    def _weigh(self, peer: Peer) -> int:
        """Return the resident memory of a process, where it has a limit; before the first job that is its
        base.
        """
        limit = self._plan.config.max_rss
        if limit is None:
            return 0
        resident = peer.resident_bytes() or 0
        if not peer.total:
            peer.base_bytes = resident
            if resident > limit:
                self._home.large_from_the_start(peer, resident)
        return resident

    async def _after_crash(self, peer: Peer) -> None:
        lived_s = asyncio.get_running_loop().time() - peer.ready_at
        if not peer.proven:
            await peer.settle()
            self._unproven += 1
            await self._after_failure(peer, _never_spoke(peer), "crashed")
            return
        if lived_s < _TOO_SHORT_S and not peer.total:
            self._on_probation = True
            await peer.settle()
            await self._after_failure(peer, _short_lived(peer), "crashed")
            return
        self._recovered()
        self._crashes = 1 if lived_s >= _STABLE_S else self._crashes + 1
        self._step("crashed")
        await anyio.sleep(delay_s(self._crashes, _CRASH_BACKOFF, self._plan.random))
        self._step("retry")

    async def _after_failure(self, peer: Peer, detail: str, event: SlotEvent = "failed") -> None:
        self.failures += 1
        retry_s = delay_s(self.failures, _START_BACKOFF, self._plan.random)
        self._home.start_failed(peer, detail, failures=self.failures, retry_s=retry_s)
        self._step(event)
        await anyio.sleep(retry_s)
        self._step("retry")

    def _recovered(self) -> None:
        self.failures = self._unproven = 0
        self._on_probation, self._spoke = False, True

    async def _see_out(self, peer: Peer) -> None:
        """Own a process from when it is ready to its end, whatever brings it about."""
        try:
            await peer.reached(lambda: peer.draining)
            # Retired without hurry: what is open has its own deadlines.
            await peer.reached(lambda: peer.over or peer.urgent or not peer.load or peer.departure == "stop")
            if peer.urgent:
                with anyio.move_on_after(self._plan.drain_grace_s):
                    await peer.reached(lambda: peer.over or not peer.load or peer.departure == "stop")
            await self._end(peer)
        finally:
            peer.cut_short()
            self._home.lost(peer, LostCause.STOPPED, "the orchestrator ended the process")
            with anyio.CancelScope(shield=True):
                await peer.destroy()
            self._home.forget(peer)
            self._come_home()

    def _come_home(self) -> None:
        """Replace a process on a port of chance by one on the slot's own, once its predecessor has left
        that.
        """
        peer = self._peer
        if peer is not None and peer.departure is None and not self._home.stopping and peer.can_come_home:
            peer.log.info("runner.recycled", reason="its own port is free again", jobs=peer.total)
            peer.depart("recycle")

    async def _end(self, peer: Peer) -> None:
        if peer.over:
            await peer.settle()
            in_flight = peer.load
            detail = f"{peer.end_text()} with {in_flight} in flight" if in_flight else peer.end_text()
            # Its connection may have ended and itself not: nobody else gets a request while it may work on
            # it. Where it is dead there is nothing to wait for.
            await peer.put_down()
            self._home.lost(peer, peer.cause, f"the runner process {detail}")
            peer.log.warning("runner.ended", detail=detail, cause=str(peer.cause), in_flight=in_flight)
        else:
            # Nobody else gets a request while this process may work on it; and it may still answer.
            replaced, in_flight = peer.departure != "stop", peer.load
            await peer.terminate()
            await peer.settle()
            if replaced:
                lost = self._home.lost(peer, LostCause.STOPPED, "the runner process was replaced")
                peer.log.info("runner.replaced", in_flight=in_flight, lost=lost, jobs=peer.total)

    def _step(self, event: SlotEvent) -> None:
        previous, self.state = self.state, next_state(self.state, event)
        self._log.debug("runner.slot", before=previous, after=self.state)
        self._home.refresh()


def _never_spoke(peer: Peer) -> str:
    return (
        f"{peer.end_text()} without one valid message; is it a runner that listens there? "
        "Correct its address, or end the other program"
    )


def _short_lived(peer: Peer) -> str:
    return f"{peer.end_text()} as soon as it was up"
