"""What the orchestrator sees of its runners: submit requests, hear of their ends, never wait for a process.

A :class:`Runner` is one configured name (`[rrq.runners.<name>]`): a pool of processes behind one interface.
Whoever submits owns the request until exactly one of three things happened: ``outcome`` was called for it,
``lost`` named it, or it was given to ``quarantine``.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import msgspec

from rrq_protocol import RRQError, WireOutcome, WireRequest

__all__ = [
    "Isolation",
    "LostCause",
    "NoCapacity",
    "Runner",
    "RunnerHistory",
    "RunnerListener",
    "RunnerState",
]

RunnerState: TypeAlias = Literal["starting", "ready", "broken", "stopping"]
"""``ready``: at least one process answers. ``broken``: none does, and starting one failed repeatedly."""


class LostCause(StrEnum):
    """Why a request will never get an outcome."""

    CRASHED = "crashed"
    """The process died, or closed its connection, with work in flight."""
    PROTOCOL = "protocol"
    """The peer broke the protocol, or cannot be talked to."""
    BLOCKED = "blocked"
    """The process did nothing any more while it held this and other requests; any of them may be why."""
    UNPROVEN = "unproven"
    """The connection to an external runner broke before a valid message came: perhaps it is no runner."""
    STOPPED = "stopped"
    """We ended the process (quarantine of a neighbour, recycling, stop): not the job's fault."""


class NoCapacity(RRQError):
    """No process of the runner has a free slot. Ask ``free`` first."""

    def __init__(self, runner: str) -> None:
        super().__init__(f"runner {runner!r} has no free slot")
        self.runner = runner


class RunnerHistory(msgspec.Struct, frozen=True):
    """What happened to a runner since the orchestrator began, for its report.

    Attributes:
        restarts: Processes that came up in the place of earlier ones, for whatever reason.
        last_error: The latest failed start or unexpected end, with the last line the process wrote.
        last_error_at_ms: When that was, epoch ms.
        stale: Processes that were to be replaced and work on, because their successors do not start.
    """

    restarts: int = 0
    last_error: str | None = None
    last_error_at_ms: int | None = None
    stale: int = 0


class RunnerListener(Protocol):
    """Who hears of ends. The calls come on the event loop and must be cheap; they may call the runner
    back."""

    def outcome(self, runner: str, outcome: WireOutcome) -> None:
        """A request was answered. ``request_id`` is always set; once per submitted request at most."""

    def lost(self, runner: str, request_ids: Sequence[str], cause: LostCause, detail: str) -> None:
        """These requests will never get an outcome; their slots are free again, or gone with their
        process."""

    def capacity_changed(self, runner: str) -> None:
        """``capacity``, ``state``, or ``free`` other than through a submit or an outcome, changed."""


class Isolation(Protocol):
    """Processes that take one request each, for those that may kill theirs (RELIABILITY.md 6.6)."""

    @property
    def free(self) -> int:
        """How many of them are up and empty. A change is told as ``capacity_changed`` of the runner."""

    @property
    def room(self) -> int | None:
        """For how many more requests there is or soon will be a place: those that are up and empty, and those
        that can come up. None: no place can be had."""

    def open(self, wanted: int) -> bool:
        """See that so many of them are up and empty or coming up, as far as there are as many. False: that
        does not work; run the request among others."""

    def submit(self, request: WireRequest) -> None:
        """See :meth:`Runner.submit`. All else about the request is asked of its runner."""


class Runner(Protocol):
    """One configured runner: a pool of processes, each with ``max_in_flight`` slots."""

    @property
    def name(self) -> str:
        """The name in the settings."""

    @property
    def free(self) -> int:
        """Free slots over the processes that take requests now."""

    @property
    def isolation(self) -> Isolation | None:
        """Where a request runs alone; None if this runner cannot tell, or each process has one slot only."""

    @property
    def capacity(self) -> int:
        """All slots of the processes that take requests now."""

    @property
    def state(self) -> RunnerState:
        """See :data:`RunnerState`."""

    def submit(self, request: WireRequest) -> None:
        """Hand a request to the least loaded process; it leaves before the loop waits next.

        Raises:
            NoCapacity: No slot is free.
            FrameTooLarge: The request is over the frame limit. Nothing was sent (F64).
            NotSerialisable: A text in the request holds a lone surrogate. Nothing was sent.
        """

    def cancel(self, request_id: str, job_id: str, *, hard: bool = False) -> None:
        """Ask for an early outcome. The request stays open; nothing happens if it is over already."""

    def quarantine(self, request_id: str) -> bool:
        """Give up on a request and on the process that holds it. There will be no callback for the request.

        The process gets no new requests and a replacement starts at once. Its other requests have
        ``worker_shutdown_grace_period_seconds`` to finish and are then lost (``STOPPED``); then its process
        group ends. In a process that does nothing any more none of them can finish: they are lost
        (``BLOCKED``), and it ends at once.

        Returns:
            True if that was so, and there were others: the request may have stood still because of them.
        """

    def abandon(self, detail: str) -> None:
        """Kill every process that holds a request, at once; all requests are lost (``STOPPED``). Others take
        their place.

        Processes we did not start are only disconnected.
        """

    def recycle(self) -> None:
        """Replace every process we started by a new one, each as soon as its successor answers (F81). What is
        open may finish.
        """

    @property
    def history(self) -> RunnerHistory:
        """See :class:`RunnerHistory`."""

    @property
    def processes(self) -> int:
        """How many processes it should have."""

    def has_handler(self, name: str) -> bool:
        """Return whether a live process said that it has a handler of this name."""

    def pids(self) -> list[int]:
        """Return the process ids of the pool's live processes, those on their way out included."""

    async def run(self) -> None:
        """Keep the pool's processes up until cancelled, or stopped. Cancelling ends them at once, none is
        left."""

    async def stop(self, *, patient: bool = True) -> None:
        """End all processes in parallel: SIGTERM, ``runner_shutdown_term_grace_seconds``, SIGKILL to each
        group.

        Unless ``patient``, a process that holds a request is killed at once; our own, with a runner in it,
        cannot be. Outcomes that arrive meanwhile are reported, the rest is lost (``STOPPED``). Afterwards
        there is no process and no socket file, and :meth:`run` has nothing left to do and returns.
        """
