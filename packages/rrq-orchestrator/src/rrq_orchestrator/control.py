"""Requests to this one orchestrator, read from its control list: ``cancel <job id> <claim_seq>`` (T10), and
``drain``, which asks for an orderly stop.

A read takes the request off the list, so one that was read by a connection which then broke is gone. The
job's record still tells of it (``cancel_requested_at``): after every such break the records of the running
attempts are asked.
"""

from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.dispatch import Dispatcher
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_orchestrator.waker import BLOCK_S
from rrq_protocol import Keyspace

__all__ = ["Control"]

_AT_ONCE: Final = 256
_LONGEST_SEQ: Final = 15


class Membership(Protocol):
    """What control needs of the heartbeat."""

    @property
    def orchestrator_id(self) -> str: ...
    async def registered(self) -> None: ...


class Control:
    """Waits on a connection of its own, so that requests are heard while the orchestrator is full."""

    name = "control"

    def __init__(
        self,
        *,
        keyspace: Keyspace,
        link: RedisLink,
        links: RedisLinks,
        membership: Membership,
        dispatcher: Dispatcher,
        drain: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self._keyspace, self._link, self._links = keyspace, link, links
        self._membership, self._dispatcher, self._drain, self._log = membership, dispatcher, drain, log

    async def run(self) -> None:
        """Carry out requests until cancelled."""
        pauses = self._links.pauses()
        doubtful = False
        while True:
            await self._membership.registered()
            key = self._keyspace.control(self._membership.orchestrator_id)
            try:
                if doubtful:
                    await self._catch_up()
                    doubtful = False
                reply = await self._link.command("BLPOP", key, BLOCK_S)
                if reply is not None:
                    self._obey(reply[1].decode("utf-8", "replace"))
            except (RedisGone, RedisRefused):
                doubtful = True
                await pauses.pause()
            else:
                pauses = self._links.pauses()
            self.passes.done()

    async def _catch_up(self) -> None:
        jobs = [attempt.job for attempt in self._dispatcher.attempts]
        for first in range(0, len(jobs), _AT_ONCE):
            page = jobs[first : first + _AT_ONCE]
            asked = await self._link.batch(
                [("HMGET", self._keyspace.job(job.id), "cancel_requested_at", "claim_seq") for job in page]
            )
            for job, row in zip(page, asked, strict=True):
                # A record that has become something else (F40) is no reason not to hear of the others.
                if isinstance(row, list) and row[0] is not None and row[1] == b"%d" % job.claim_seq:
                    self._cancel(job.id, job.claim_seq)

    def _obey(self, request: str) -> None:
        match request.split(" "):
            case ["cancel", job_id, seq] if seq.isascii() and seq.isdigit() and len(seq) <= _LONGEST_SEQ:
                self._cancel(job_id, int(seq))
            case ["drain"]:
                self._log.info("orchestrator.drain_requested")
                self._drain()
            case _:
                self._log.warning("control.unknown_request", request=request[:200])

    def _cancel(self, job_id: str, claim_seq: int) -> None:
        found = self._dispatcher.cancel_job(job_id, claim_seq)
        self._log.info("job.cancel_requested", job_id=job_id, found=found)
