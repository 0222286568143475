"""One configured runner: its slots, what they can take, and who holds which request."""

import time
from typing import Final

import anyio
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.balance import Balancer
from rrq_orchestrator.runners.base import (
    Isolation,
    LostCause,
    NoCapacity,
    RunnerHistory,
    RunnerListener,
    RunnerState,
)
from rrq_orchestrator.runners.peer import Peer
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.supervisor import Slot
from rrq_protocol import WireOutcome, WireRequest

__all__ = ["Pool"]

_ERROR_CHARS: Final = 300
_REQUESTS_LOGGED: Final = 10


class Pool:
    """A :class:`.base.Runner` of processes, or of connections to external ones. Everything happens on the
    event loop."""

    def __init__(
        self, name: str, plan: PoolPlan, listener: RunnerListener, log: FilteringBoundLogger
    ) -> None:
        self._name = name
        self._plan = plan
        self._listener = listener
        self._log = log.bind(runner=name)
        self._balancer: Balancer[Peer] = Balancer()
        self._holders: dict[str, Peer] = {}
        self._peers: dict[Peer, None] = {}
        self._slots = [Slot(self, plan, self._log, index) for index in range(plan.config.processes)]
        self._max_jobs = plan.config.max_jobs
        self._state: RunnerState = "starting"
        self._last_failure = ""
        self._told_of_size = False
        self._seen: set[int] = set()
        self._restarts = 0
        self._last_error: tuple[str | None, int | None] = (None, None)
        self._ended: anyio.Event | None = None
        self.stopping = False
        self.isolation: Isolation | None = None

    # The orchestrator's side.

    @property
    def name(self) -> str:
        """See :class:`.base.Runner`."""
        return self._name

    @property
    def free(self) -> int:
        """See :class:`.base.Runner`."""
        return self._balancer.free

    @property
    def capacity(self) -> int:
        """See :class:`.base.Runner`."""
        return self._balancer.capacity

    @property
    def busy(self) -> bool:
        """Whether a request is in hand, also in a process that takes no more of them."""
        return bool(self._holders)

    @property
    def state(self) -> RunnerState:
        """See :class:`.base.Runner`."""
        return self._state

    def submit(self, request: WireRequest) -> None:
        """See :class:`.base.Runner`."""
        peer = self._balancer.pick()
        if peer is None:
            raise NoCapacity(self._name)
        peer.channel.request(request)
        self._holders[request.request_id] = peer
        self._balancer.taken(peer)
        peer.total += 1
        if peer.total == self._max_jobs:
            self._recycle(peer, f"max_jobs: {peer.total}")

    def cancel(self, request_id: str, job_id: str, *, hard: bool = False) -> None:
        """See :class:`.base.Runner`."""
        peer = self._holders.get(request_id)
        if peer is not None:
            peer.channel.cancel(request_id, job_id, hard)

    def quarantine(self, request_id: str) -> bool:
        """See :class:`.base.Runner`."""
        peer = self._holders.get(request_id)
        if peer is None:
            return False
        blocked = peer.channel.in_doubt
        peer.channel.abandon(request_id)
        # First of all: whoever hears of a free slot below must not put the next request into this process.
        peer.quarantine()
        self._release(peer, request_id)
        peer.log.warning("runner.quarantined", request_id=request_id, in_flight=peer.load, blocked=blocked)
        self._note_error(peer, "a request went on after it was to end, so its process was replaced")
        shared = blocked and peer.load > 0
        if blocked:
            peer.cut_short()
            self.lost(peer, LostCause.BLOCKED, "the runner process did nothing any more")
        return shared

    def recycle(self) -> None:
        """See :class:`.base.Runner`."""
        if self.stopping:
            return
        if self._plan.external:
            self._log.info(
                "runner.not_recycled", reason="it is external: who starts its processes replaces them"
            )
            return
        for peer in list(self._peers):
            # One that is coming up may have loaded what was there before, too.
            peer.outdated = True
            if peer.ready_at and not peer.draining and peer.departure is None:
                self._recycle(peer, "asked for")

    def abandon(self, detail: str) -> None:
        """See :class:`.base.Runner`."""
        for peer in list(self._peers):
            if peer.load:
                peer.cut_short()
                if self.lost(peer, LostCause.STOPPED, detail):
                    peer.quarantine()

    @property
    def history(self) -> RunnerHistory:
        """See :class:`.base.Runner`."""
        return RunnerHistory(self._restarts, *self._last_error, sum(slot.stale for slot in self._slots))

    @property
    def processes(self) -> int:
        """See :class:`.base.Runner`."""
        return len(self._slots)

    def has_handler(self, name: str) -> bool:
        """See :class:`.base.Runner`."""
        return any(name in peer.handlers for peer in self._peers)

    def pids(self) -> list[int]:
        """See :class:`.base.Runner`."""
        processes = [peer.process for peer in self._peers]
        # One that its guard has not named yet has the id 0.
        return [each.pid for each in processes if each is not None and each.pid and each.returncode is None]

    async def run(self) -> None:
        """See :class:`.base.Runner`."""
        if self.stopping:
            return
        self._ended = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                for slot in self._slots:
                    tasks.start_soon(slot.run, tasks)
        finally:
            self.stopping = True
            with anyio.CancelScope(shield=True):
                await self._destroy_all()
            self._plan.endpoints.close()
            self.refresh()
            self._ended.set()

    async def stop(self, *, patient: bool = True) -> None:
        """See :class:`.base.Runner`."""
        if not self.stopping:
            self.stopping = True
            for slot in self._slots:
                slot.stop()
            if not patient:
                self.abandon("the orchestrator ended the process")
            for peer in list(self._peers):
                peer.hurry()
                peer.depart("stop")
            self.refresh()
        if self._ended is not None:
            await self._ended.wait()

    async def _destroy_all(self) -> None:
        # A task that was cancelled before its first step has not ended its process.
        async with anyio.create_task_group() as tasks:
            for peer in list(self._peers):
                self.lost(peer, LostCause.STOPPED, "the orchestrator ended the process")
                tasks.start_soon(peer.destroy)
        self._peers.clear()

    # The peers' side.

    def answered(self, peer: Peer, outcome: WireOutcome) -> None:
        """See :class:`.peer.PeerHome`."""
        request_id = outcome.request_id
        assert request_id is not None
        self._release(peer, request_id)
        self._listener.outcome(self._name, outcome)

    def unanswerable(self, peer: Peer, request_id: str, detail: str) -> None:
        """See :class:`.peer.PeerHome`."""
        self._release(peer, request_id)
        peer.log.warning("runner.unanswerable", request_id=request_id, detail=detail)
        self._listener.lost(self._name, (request_id,), LostCause.PROTOCOL, f"the runner process {detail}")

    def overdue(self, peer: Peer, request_id: str, detail: str) -> None:
        """See :class:`.peer.PeerHome`."""
        self.quarantine(request_id)
        self._listener.lost(self._name, (request_id,), LostCause.PROTOCOL, f"the runner process {detail}")

    def proved(self, peer: Peer) -> None:
        """See :class:`.peer.PeerHome`."""
        self._last_failure = ""
        self.refresh()

    def limit_changed(self, peer: Peer, limit: int) -> None:
        """See :class:`.peer.PeerHome`."""
        held = self._balancer.remove(peer)
        peer.limit = limit
        if held:
            self._balancer.add(peer)
            self._listener.capacity_changed(self._name)

    def silent(self, peer: Peer, seconds: float) -> None:
        """See :class:`.peer.PeerHome`."""
        requests = list(peer.channel.outstanding)
        peer.log.warning(
            "runner.unresponsive",
            silent_s=round(seconds, 1),
            in_flight=peer.load,
            requests=requests[:_REQUESTS_LOGGED],
            hint="a handler blocks the event loop of its process: all its requests stand still, and it gets "
            "no new ones; do such work in a plain def, or in a process of its own (max_in_flight = 1)",
        )
        if self._balancer.remove(peer):
            self.refresh()
            self._listener.capacity_changed(self._name)

    def heard(self, peer: Peer, seconds: float) -> None:
        """See :class:`.peer.PeerHome`."""
        peer.log.info("runner.responsive", silent_s=round(seconds, 1), in_flight=peer.load)
        if not peer.draining:
            self._balancer.add(peer)
            self.refresh()
            self._listener.capacity_changed(self._name)

    def departing(self, peer: Peer) -> None:
        """See :class:`.peer.PeerHome`."""
        if self._balancer.remove(peer):
            self.refresh()
            self._listener.capacity_changed(self._name)

    # The slots' side.

    def new_peer(self, slot: int) -> Peer:
        """See :class:`.supervisor.SlotHome`."""
        peer = Peer(self, self._plan, self._log, slot)
        self._peers[peer] = None
        return peer

    def admit(self, peer: Peer) -> None:
        """See :class:`.supervisor.SlotHome`."""
        if peer.draining:
            return
        if peer.proven:
            self._last_failure = ""
        self._restarts += peer.slot in self._seen
        self._seen.add(peer.slot)
        self._balancer.add(peer)
        if peer.outdated and peer.departure is None:
            self._recycle(peer, "asked for")
        self.refresh()
        self._listener.capacity_changed(self._name)

    def lost(self, peer: Peer, cause: LostCause, detail: str) -> int:
        """See :class:`.supervisor.SlotHome`."""
        self._balancer.remove(peer)
        # Of an unproven peer the slot tells, as of a failed start.
        if cause not in (LostCause.STOPPED, LostCause.BLOCKED, LostCause.UNPROVEN):
            self._note_error(peer, detail)
        request_ids = peer.channel.close()
        for request_id in request_ids:
            self._holders.pop(request_id, None)
        peer.load = 0
        if request_ids:
            self._listener.lost(self._name, request_ids, cause, detail)
        return len(request_ids)

    def forget(self, peer: Peer) -> None:
        """See :class:`.supervisor.SlotHome`."""
        self._peers.pop(peer, None)

    def refresh(self) -> None:
        """See :class:`.supervisor.SlotHome`."""
        state: RunnerState = "starting"
        if self.stopping:
            state = "stopping"
        elif any(peer in self._balancer and not peer.on_trial for peer in self._peers):
            state = "ready"
        elif any(slot.broken for slot in self._slots):
            state = "broken"
        if state == self._state:
            return
        report = self._log.error if state == "broken" else self._log.info
        report("runner.state", before=self._state, after=state, capacity=self.capacity)
        self._state = state
        self._listener.capacity_changed(self._name)

    def large_from_the_start(self, peer: Peer, resident: int) -> None:
        """See :class:`.supervisor.SlotHome`."""
        if not self._told_of_size:
            self._told_of_size = True
            peer.log.warning(
                "runner.max_rss_too_low",
                limit=self._plan.config.max_rss,
                measured=resident,
                advice="a process is larger than `max_rss` before its first job, so it is replaced only when "
                "it has twice its first size: raise `max_rss` well above `measured`, or let it load less",
            )

    def start_failed(self, peer: Peer, detail: str, *, failures: int, retry_s: float) -> None:
        """See :class:`.supervisor.SlotHome`."""
        tail = peer.process.tail() if peer.process is not None else []
        report = self._log.debug if detail == self._last_failure else self._log.error
        self._last_failure = detail
        self._note_error(peer, detail)
        report(
            "runner.start_failed",
            slot=peer.slot,
            detail=detail,
            output=tail,
            failures=failures,
            retry_s=round(retry_s, 2),
        )

    def _note_error(self, peer: Peer, detail: str) -> None:
        said = peer.process.tail()[-1:] if peer.process is not None else []
        text = ": ".join([detail, *said])
        cut = text if len(text) <= _ERROR_CHARS else text[: _ERROR_CHARS - 1] + "…"
        changed = self._last_error[0] != cut
        self._last_error = (cut, time.time_ns() // 1_000_000)
        if changed:
            self._listener.capacity_changed(self._name)

    def _recycle(self, peer: Peer, reason: str) -> None:
        peer.log.info("runner.recycled", reason=reason, jobs=peer.total)
        peer.depart("recycle")

    def _release(self, peer: Peer, request_id: str) -> None:
        self._holders.pop(request_id, None)
        if peer in self._balancer:
            self._balancer.released(peer)
        else:
            peer.load -= 1
            if not peer.load:
                peer.emptied()
