"""Group commit: ended attempts gather while the previous call is under way; one script closes them all
(ARCHITECTURE.md, step 6).

Outcomes wait here while Redis is away, and the call is repeated until it is answered; the scripts allow that
(I16). A call carries no more bytes than a slow link takes in a while, but for a result that is larger alone.
The claim loop looks at :attr:`Settler.is_full`, so that a long outage stops new work instead of filling
memory.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink
from rrq_protocol import Keyspace, ScriptCall
from rrq_protocol.transitions import SettleKind, Settlement, SettleReply, settle

__all__ = ["Settler"]

_BATCH, _BATCH_BYTES = 256, 1024 * 1024
_FULL, _FULL_BYTES = 10_000, 64 * 1024 * 1024
_ENTRY_BYTES = 200
_TRIES, _TRY_AGAIN_S = 3, 0.2
_SUSPECTED = frozenset({SettleKind.SUSPECT, SettleKind.CRASH})
_LOUD = frozenset({SettleReply.STALE, SettleReply.GONE, SettleReply.WRONG_TYPE})


class Settler:
    """Writes the ends of attempts. ``_outbox`` is appended to by the dispatcher and drained by :meth:`run`
    only. ``suspected`` are the queues that suspects go back to, until the claim loop has taken note of them.
    """

    name = "settle"

    def __init__(
        self,
        keyspace: Keyspace,
        link: RedisLink,
        log: FilteringBoundLogger,
        *,
        job_events: bool = False,
        compat_job_locks: bool = False,
    ) -> None:
        self.passes = PassSignal()
        self.replies: Counter[SettleReply] = Counter()
        self.suspected: set[str] = set()
        self._keyspace, self._link, self._log = keyspace, link, log
        self._job_events, self._compat_job_locks = job_events, compat_job_locks
        self._outbox: deque[tuple[str, Settlement]] = deque()
        self._writing: tuple[Settlement, ...] = ()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def is_full(self) -> bool:
        """Whether so many outcomes wait for Redis, or such large ones, that no new work should be taken."""
        return len(self._outbox) >= _FULL or self._bytes >= _FULL_BYTES

    @property
    def waiting(self) -> int:
        """Outcomes not yet acknowledged by Redis."""
        return len(self._outbox) + len(self._writing)

    @property
    def waiting_bytes(self) -> int:
        """How large they are together."""
        return self._bytes

    def tokens(self) -> set[tuple[str, int | bytes]]:
        """Return job and claim_seq of the attempts whose ends are not yet acknowledged by Redis."""
        waiting = [settlement for _, settlement in self._outbox]
        return {(each.job_id, each.claim_seq) for each in (*waiting, *self._writing)}

    def ending(self, owner: str, batch: Sequence[Settlement]) -> ScriptCall[tuple[SettleReply, ...]]:
        """Return the call that ends attempts of ``owner``, with the events and locks of the public line that
        the settings ask for.
        """
        return settle(
            self._keyspace, owner, batch, job_events=self._job_events, compat_job_locks=self._compat_job_locks
        )

    def put(self, owner: str, settlement: Settlement) -> None:
        """Have an attempt settled that was claimed under the orchestrator id ``owner``."""
        self._outbox.append((owner, settlement))
        if settlement.kind in _SUSPECTED:
            self.suspected.add(settlement.queue)
        self._bytes += _weight(settlement)
        self._filled.set()
        self._empty.clear()

    async def flushed(self) -> None:
        """Wait until everything put so far has been acknowledged."""
        await self._empty.wait()

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            await self._filled.wait()
            owner, batch = self._next_batch()
            self._writing = tuple(batch)
            await self._write(owner, batch)
            self._writing = ()
            self._bytes -= sum(map(_weight, batch))
            if not self._outbox:
                self._filled.clear()
                self._empty.set()
            self.passes.done()

    def _next_batch(self) -> tuple[str, list[Settlement]]:
        """Take what one call can carry: all of one owner, for the active set is a key of the call."""
        owner = self._outbox[0][0]
        batch: list[Settlement] = []
        size = 0
        while self._outbox and len(batch) < _BATCH and self._outbox[0][0] == owner:
            size += _weight(self._outbox[0][1])
            if batch and size > _BATCH_BYTES:
                break
            batch.append(self._outbox.popleft()[1])
        return owner, batch

    async def _write(self, owner: str, batch: list[Settlement]) -> None:
        try:
            await self._call(owner, batch)
        except Exception as error:  # noqa: BLE001 - one end that cannot be written must not take others along
            if len(batch) == 1:
                await self._persist(owner, batch[0], error)
                return
            for each in batch:
                await self._write(owner, [each])

    async def _persist(self, owner: str, settlement: Settlement, error: Exception) -> None:
        """Try to write one end that was refused in a way nobody expected; then put it aside. The job is found
        among ours by the next review, and runs again.
        """
        for n in range(1, _TRIES):
            await asyncio.sleep(n * _TRY_AGAIN_S)
            try:
                return await self._call(owner, [settlement])
            except Exception as again:  # noqa: BLE001 - the last failure is told below, whatever it is
                error = again
        self._log.error(
            "settle.failed",
            job_id=settlement.job_id,
            claim_seq=settlement.claim_seq,
            kind=settlement.kind.value,
            error=f"{type(error).__name__}: {error}"[:500],
            action="report this; the job will run again",
            exc_info=error,
        )
        return None

    async def _call(self, owner: str, batch: list[Settlement]) -> None:
        call = self.ending(owner, batch)
        replies = await self._link.run_until_done(call)
        self.replies.update(replies)
        if not _LOUD.isdisjoint(replies):
            for settlement, reply in zip(batch, replies, strict=True):
                if reply in _LOUD:
                    self._log.warning(
                        f"settle.{reply.value}",
                        job_id=settlement.job_id,
                        claim_seq=settlement.claim_seq,
                        kind=settlement.kind.value,
                    )


def _weight(settlement: Settlement) -> int:
    return _ENTRY_BYTES + len(settlement.text) + len(settlement.attempts_log or b"")
