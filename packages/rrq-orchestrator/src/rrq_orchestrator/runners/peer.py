"""One runner process, or one connection to an external one, from its start to its very end.

Written by: the event loop's callbacks (:class:`.channel.Channel`, process exit) and the pool's methods, all
on the loop. The slot's tasks only wait for what these change, with :meth:`Peer.reached`.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias

import anyio
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.base import LostCause
from rrq_orchestrator.runners.channel import Channel, ChannelLimits
from rrq_orchestrator.runners.dial import dial
from rrq_orchestrator.runners.environment import runner_command, runner_environment
from rrq_orchestrator.runners.nonce import Nonce
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.process import RunnerProcess, StartFailed, exit_text, start_process
from rrq_orchestrator.runners.termination import kill, terminate
from rrq_protocol import Endpoint, Hello, StdioEndpoint, TcpEndpoint, WireOutcome

__all__ = ["Departure", "Peer", "PeerHome"]

Departure: TypeAlias = Literal["crashed", "quarantine", "recycle", "stop"]

_STDIO_SETTLE_S: Final = 0.25
"""A stdio runner without an introduction cannot show that it is up; one that fails mostly does so within
this."""
_NO_NONCE: Final = (
    "so any local user can connect to its port and run its handlers; a Unix socket (no `tcp_port`) or "
    '`type = "stdio"` keeps them out, or a runner that takes part (docs/protocol.md, over TCP)'
)
_LAST_WORDS_S: Final = 0.5
"""Time to read what a process said before its end, and to learn how it ended."""

_CUT_OFF_GRACE_S: Final = 1.0
"""Time between SIGTERM and SIGKILL for a process without a connection, at most. What it still does is lost,
and its requests start elsewhere only when it is gone."""


class PeerHome(Protocol):
    """The pool, as a peer sees it."""

    def answered(self, peer: "Peer", outcome: WireOutcome) -> None:
        """A request of the peer got its response."""

    def unanswerable(self, peer: "Peer", request_id: str, detail: str) -> None:
        """A request of the peer will never get one."""

    def overdue(self, peer: "Peer", request_id: str, detail: str) -> None:
        """A request of the peer waited too long; the peer has to go."""

    def silent(self, peer: "Peer", seconds: float) -> None:
        """The peer does nothing any more: it is to get no requests until it is heard."""

    def heard(self, peer: "Peer", seconds: float) -> None:
        """It is heard again, after so long."""

    def proved(self, peer: "Peer") -> None:
        """The peer is a runner, for certain."""

    def limit_changed(self, peer: "Peer", limit: int) -> None:
        """The peer wants fewer requests at a time."""

    def departing(self, peer: "Peer") -> None:
        """The peer takes no more requests."""


class Peer:
    """See the module.

    Attributes:
        load, limit: Requests it holds, and takes at most. Kept by the pool.
        total: Requests it ever took.
        base_bytes: Its resident memory when it was last looked at before its first request. Kept by the slot.
        departure: Why the slot has to look for a successor; None as long as it need not.
        over: Whether it ended by itself, or cannot be talked to any more.
        draining: Whether it takes no more requests.
        urgent: Whether its requests have the shutdown grace only.
        on_trial: Whether it gets one request at a time, until it proves to be a runner.
        trusted: Whether it is taken for a runner without a proof, for one listened there before.
        outdated: Whether new processes were asked for after it was started.
        handlers: Names of the handlers it said it has.
    """

    def __init__(self, home: PeerHome, plan: PoolPlan, log: FilteringBoundLogger, slot: int) -> None:
        self.slot = slot
        self.load = 0
        self.limit = plan.config.max_in_flight
        self.total = self.base_bytes = 0
        self.departure: Departure | None = None
        self.over = self.draining = self.urgent = self.outdated = self.on_trial = self.trusted = False
        self.handlers: frozenset[str] = frozenset()
        self.process: RunnerProcess | None = None
        self.ready_at = 0.0
        self._home = home
        self._plan = plan
        self.log = log.bind(slot=slot)
        self._endpoint: Endpoint | None = None
        self._nonce: Nonce | None = None
        self._greeted = False
        self._cause = LostCause.CRASHED
        self._channel_detail = ""
        self._changed = asyncio.Event()
        framing: Literal["length", "line"] = "line" if plan.config.type == "stdio" else "length"
        limits = ChannelLimits(response_s=plan.config.response_timeout_seconds, silent_s=plan.silent_s)
        self.channel = Channel(self, self.log, framing, limits, plan.config.protocol_version)

    # What others do with it.

    async def reached(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on its attributes holds."""
        while not condition():
            await self._changed.wait()

    async def open(self, *, quiet: bool = False) -> None:
        """Start the process, where it is ours to start, and wait until it answers.

        Raises:
            StartFailed: It does not come up. :meth:`destroy` is still to be called.
        """
        plan = self._plan
        self._endpoint = plan.endpoints.allocate(self.slot)
        if not plan.external:
            await self._start(self._endpoint, quiet)
        with anyio.move_on_after(plan.connect_timeout_s) as waiting:
            await self._reach(self._endpoint)
        if waiting.cancelled_caught:
            raise StartFailed(self._silence())
        if self.over:
            await self.settle()
            raise StartFailed(f"{self.end_text()} before it was ready")
        if self._nonce is not None:
            if not self._nonce.taken:
                tell = self.log.debug if quiet else self.log.warning
                tell("runner.took_no_nonce", address=str(self._endpoint), hint=_NO_NONCE)
            self._nonce.close()  # there will be no other connection
        self.ready_at = asyncio.get_running_loop().time()

    def depart(self, departure: Departure) -> None:
        """Let the slot look for a successor. All but a recycled peer take no more requests from now on."""
        if self.departure is None or departure == "stop":
            self.departure = departure
        if departure != "recycle":
            self.retire()
        self._notify()

    def retire(self) -> None:
        """Take no more requests; what is open may finish."""
        if not self.draining:
            self.draining = True
            self._home.departing(self)
        self._notify()

    def quarantine(self) -> None:
        """Take no more requests, and finish the others within the shutdown grace."""
        self.urgent = True
        self.depart("quarantine")

    @property
    def can_come_home(self) -> bool:
        """Whether it listens elsewhere than its slot should, and need not any more."""
        return self._endpoint is not None and self._plan.endpoints.can_come_home(self.slot, self._endpoint)

    @property
    def outlives(self) -> bool:
        """Whether it takes requests although it is to be replaced."""
        return self.departure == "recycle" and not self.draining

    def emptied(self) -> None:
        """Say that ``load`` became 0, if somebody may wait for it."""
        self._notify()

    async def settle(self) -> None:
        """After it ended: read what it said last, and learn how it ended."""
        with anyio.move_on_after(_LAST_WORDS_S):
            if self.process is not None and self._cause is LostCause.CRASHED:
                await self.process.exited.wait()
            await self.reached(lambda: self.channel.ended)

    def end_text(self) -> str:
        """Return how it ended, in words."""
        process = self.process
        if process is None or process.returncode is None or self._cause is LostCause.PROTOCOL:
            return self._channel_detail or "ended"
        return exit_text(process.returncode)

    @property
    def cause(self) -> LostCause:
        """Why its open requests are lost, if it ended by itself."""
        return self._cause if self.proven or self.trusted else LostCause.UNPROVEN

    @property
    def proven(self) -> bool:
        """Whether it is a runner: we started it, or a valid message came from it.

        A process of ours that breaks at once is a runner that crashed. At the address of an external one
        anybody may listen, and jobs are not to pay for that.
        """
        return self.channel.proven or not self._plan.external

    def try_out(self) -> None:
        """Take one request at a time until it is proven."""
        self.on_trial, self.limit = True, 1

    async def terminate(self) -> None:
        """End the process in order: SIGTERM, grace, SIGKILL."""
        if self.process is not None:
            await terminate(self.process, self._plan.term_grace_s)

    async def put_down(self) -> None:
        """End a process that nobody can talk to any more, soon: its requests wait for that."""
        if self.process is not None:
            await terminate(self.process, min(self._plan.term_grace_s, _CUT_OFF_GRACE_S))

    def cut_short(self) -> None:
        """Kill the process at once if requests are open: they start anew as soon as they are called lost."""
        if self.load and self.process is not None:
            self.process.end()

    def hurry(self) -> None:
        """Kill the process at once if all it still does was given up: it did not hear a cancel, and would not
        hear SIGTERM either.
        """
        if self.departure == "quarantine" and not self.load and self.process is not None:
            self.process.end()

    async def destroy(self) -> None:
        """End everything at once and let go of it. Safe to repeat. Open requests must have been taken care
        of."""
        self.over = self.draining = True
        self.channel.close()
        process = self.process
        if process is not None:
            if not await kill(process):
                self.log.warning("runner.processes_left", pid=process.pid, count=process.left)
            await process.outputs_closed(_LAST_WORDS_S)
            process.close()
        if self._nonce is not None:
            self._nonce.close()
        if self._endpoint is not None:
            self._plan.endpoints.release(self.slot, self._endpoint)
            self._endpoint = None
        self._notify()

    def resident_bytes(self) -> int | None:
        """Return the resident memory of the process; None where that is unknown."""
        if self.process is None:
            return None
        try:
            with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:  # noqa: PTH123
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            return None

    # What the channel and the process tell.

    def answered(self, outcome: WireOutcome) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._home.answered(self, outcome)

    def proved(self) -> None:
        """See :class:`.channel.ChannelOwner`."""
        if self.on_trial:
            self.on_trial = False
            self._home.limit_changed(self, self._plan.config.max_in_flight)
        self._home.proved(self)

    def greeted(self, hello: Hello) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._greeted = True
        self.handlers = frozenset(hello.handlers)
        self.log.debug(
            "runner.hello", runtime=hello.runtime, version=hello.version, handlers=len(hello.handlers)
        )
        if hello.max_in_flight is not None and hello.max_in_flight < self.limit:
            self._home.limit_changed(self, hello.max_in_flight)
        if "ping" in hello.extensions and self.limit > 1:
            # A request that is alone may keep its process busy: nobody else waits for it.
            self.channel.feel_pulse()
        self._notify()

    def unanswerable(self, request_id: str, detail: str) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._home.unanswerable(self, request_id, detail)

    def overdue(self, request_id: str, detail: str) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._home.overdue(self, request_id, detail)

    def silent(self, seconds: float) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._home.silent(self, seconds)

    def heard(self, seconds: float) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._home.heard(self, seconds)

    def ended(self, cause: LostCause, detail: str) -> None:
        """See :class:`.channel.ChannelOwner`."""
        self._cause, self._channel_detail = cause, detail
        self._end()

    def _end(self) -> None:
        self.over = True
        self.depart("crashed")

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # Coming up.

    async def _start(self, endpoint: Endpoint, quiet: bool) -> None:
        config, stdio = self._plan.config, isinstance(endpoint, StdioEndpoint)
        nonce = self._nonce = Nonce() if isinstance(endpoint, TcpEndpoint) else None
        nonce_fd = None if nonce is None else nonce.fd
        try:
            self.process = start_process(
                runner_command(config, endpoint),
                lambda control_fd: runner_environment(
                    config, endpoint, os.environ, control_fd=control_fd, nonce_fd=nonce_fd
                ),
                cwd=config.cwd,
                stdio=stdio,
                capture=self._plan.capture,
                pass_fds=() if nonce_fd is None else (nonce_fd,),
            )
        finally:
            if nonce is not None:
                nonce.handed_over()
        self.process.on_exit = self._end
        self.log = self.log.bind(pid=await self.process.identified())
        await self.process.capture(self.log, stdout=not stdio, quiet=quiet)

    async def _reach(self, endpoint: Endpoint) -> None:
        if isinstance(endpoint, StdioEndpoint):
            await self._attach_stdio()
        else:
            await dial(
                endpoint,
                self._same_channel,
                self.process,
                patient=not self._plan.external,
                nonce=self._nonce,
            )
        if self._plan.config.app is not None and not self._plan.external:
            # Our own runner introduces itself once its handlers are loaded.
            await self.reached(lambda: self._greeted or self.over)
        elif isinstance(endpoint, StdioEndpoint):
            with anyio.move_on_after(_STDIO_SETTLE_S):
                await self.reached(lambda: self._greeted or self.over)

    async def _attach_stdio(self) -> None:
        assert self.process is not None
        loop = asyncio.get_running_loop()
        writer, _ = await loop.connect_write_pipe(self.channel.writing_side, self.process.stdin)
        self.channel.write_to(writer)
        await loop.connect_read_pipe(self._same_channel, self.process.stdout)

    def _same_channel(self) -> Channel:
        return self.channel

    def _silence(self) -> str:
        if self._nonce is not None and self._nonce.unanswered:
            said = "took its nonce and, shown our proof, did not show its own"
            return f"{said} within {self._plan.connect_timeout_s:g} s (docs/protocol.md, over TCP)"
        said = "connected but said no hello" if self.channel.connected else "did not listen"
        return f"{said} within {self._plan.connect_timeout_s:g} s (`runner_connect_timeout_ms`)"
