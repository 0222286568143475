"""Giving back what Redis counts as ours and we do not know: the reply of a claim was lost (F46).

Anybody may have written into these keys, so each is read on its own: what cannot be used is told, and left to
a script that sets it aside, to the end of the attempt that is under way, or to the reconciler (F40, F83). It
never holds up the claims.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.audit.facts import queue_named
from rrq_orchestrator.dispatch import Dispatcher
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.history import unanswered_claim
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store.redis import RedisLink
from rrq_protocol import Clock, Keyspace, reply_of
from rrq_protocol.transitions import SettleKind, Settlement, SettleReply

__all__ = ["Review"]

_FIELDS: Final = ("claim_seq", "queue_name", "current_retries")
_AT_ONCE: Final = 256
_TOLD_AT_ONCE: Final = 10
_LONGEST_SEQ: Final = 15
_SHOWN_CHARS: Final = 100


class Review:
    """Compares the active set with what is known here. A key is told of when it was not in the way at the
    last review.
    """

    def __init__(
        self,
        *,
        keyspace: Keyspace,
        link: RedisLink,
        dispatcher: Dispatcher,
        settler: Settler,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._keyspace, self._link, self._log = keyspace, link, log
        self._dispatcher, self._settler, self._clock = dispatcher, settler, clock
        self._told: Collection[str] = ()
        self._found: dict[str, str] = {}

    async def run(self, owner: str) -> None:
        """Release the jobs that nobody here runs.

        Raises:
            RedisGone: Redis does not answer.
            RedisRefused: Redis does not accept us at all.
        """
        self._found = {}
        try:
            await self._run(owner)
        except (RedisGone, RedisRefused):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a stranger wrote, the claims go on
            self._found[self._keyspace.active(owner)] = f"{type(error).__name__}: {error}"
        self._tell()

    async def _run(self, owner: str) -> None:
        ids = await self._held(owner)
        attempts = {(attempt.job.id, attempt.job.claim_seq) for attempt in self._dispatcher.attempts}
        known = attempts | self._settler.tokens()
        busy = {job_id for job_id, _ in known}
        for first in range(0, len(ids), _AT_ONCE):
            page = ids[first : first + _AT_ONCE]
            keys = [self._keyspace.job(job_id) for job_id in page]
            rows = await self._link.batch([("HMGET", key, *_FIELDS) for key in keys])
            back: list[Settlement] = []
            for job_id, key, row in zip(page, keys, rows, strict=True):
                token = self._token(key, row)
                # Of a record that says nothing of use, its running attempt learns at its end.
                if (job_id, token) not in known and (isinstance(token, int) or job_id not in busy):
                    back.append(self._release(owner, job_id, token, row))
            await self._give_back(owner, back)

    async def _held(self, owner: str) -> list[str]:
        key = self._keyspace.active(owner)
        (held,) = await self._link.batch([("ZRANGE", key, 0, -1)])
        if isinstance(held, Exception):
            # A claim answers this by "fenced", and a new id; attempts under way may end before.
            self._found[key] = reply_of(held)
            return []
        ids: list[str] = []
        for raw in held:
            try:
                ids.append(raw.decode())
            except UnicodeDecodeError:
                self._found[key] = f"holds {raw[:_SHOWN_CHARS]!r}, which is no job id"
        return ids

    def _token(self, key: str, row: Any) -> int | bytes:
        """Return the claim number of a record; as it is stored, where it is none."""
        if isinstance(row, Exception):
            self._found[key] = reply_of(row)
            return b""
        raw: bytes | None = row[0]
        if raw is None:
            return b""
        if raw.isdigit() and len(raw) <= _LONGEST_SEQ:
            return int(raw)
        self._found[key] = f"claim_seq: expected a whole number, found {raw[:_SHOWN_CHARS]!r}"
        return raw

    def _release(self, owner: str, job_id: str, token: int | bytes, row: Any) -> Settlement:
        entry: str | bytes = b""
        if isinstance(token, int):
            entry = unanswered_claim(owner, row[2], token, self._clock.now_ms())
        return Settlement(job_id, token, SettleKind.RELEASE, self._queue(row), entry)

    def _queue(self, row: Any) -> str:
        named: bytes = b"" if isinstance(row, Exception) or row[1] is None else row[1]
        try:
            return queue_named(named.decode(), self._keyspace.prefix) or "default"
        except UnicodeDecodeError:
            return "default"

    async def _give_back(self, owner: str, back: Sequence[Settlement]) -> None:
        if not back:
            return
        try:
            replies = await self._link.run(self._settler.ending(owner, back))
        except RedisRefused as error:
            self._found[self._keyspace.active(owner)] = error.problem
            return
        for each, reply in zip(back, replies, strict=True):
            if reply is SettleReply.OK:
                self._log.warning("claim.given_back", job_id=each.job_id, queue=each.queue)
        aside = [b.job_id for b, reply in zip(back, replies, strict=True) if reply is SettleReply.WRONG_TYPE]
        if aside:
            self._log.warning("claim.set_aside", jobs=len(aside), job_ids=aside[:_TOLD_AT_ONCE])

    def _tell(self) -> None:
        new = [key for key in self._found if key not in self._told]
        for key in new[:_TOLD_AT_ONCE]:
            self._log.warning(
                "claim.unusable_key",
                key=key,
                problem=self._found[key],
                more=max(0, len(new) - _TOLD_AT_ONCE),
                action="`rrq doctor` says more",
            )
        self._told = self._found.keys()
