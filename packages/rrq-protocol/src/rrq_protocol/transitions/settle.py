"""Settling: one call ends many attempts, each guarded by its owner and token (T3 to T6, T9).

Source: RELIABILITY.md 6.5.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall, Text
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["Charge", "SettleKind", "SettleReply", "Settlement", "settle"]


class SettleKind(StrEnum):
    """How an attempt ends.

    ``CRASH``: it killed its process, alone; ``SUSPECT``: it was one of several in a process that died, is
    charged nothing and runs alone next (RELIABILITY.md 6.6).
    """

    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"
    CRASH = "crash"
    SUSPECT = "suspect"
    CANCEL = "cancel"


class Charge(StrEnum):
    """What a failed attempt is charged to: the retry budget, the crash budget, or nothing."""

    RETRY = "retry"
    CRASH = "crash"
    NONE = "none"


class Settlement(msgspec.Struct, frozen=True):
    """The end of one attempt. Sending it again changes nothing (I16).

    Attributes:
        job_id: The job.
        claim_seq: The token of the attempt; as it is stored, where a stranger wrote something else.
        kind: How it ends.
        queue: Bare name of the queue it was claimed from.
        text: Result JSON of ``COMPLETE``; of ``RELEASE`` an :class:`~rrq_protocol.AttemptEntry` as JSON, for
            the job's ``releases_log``, or nothing; otherwise the error or reason.
        delay_ms: ``RETRY``, ``RELEASE``, ``CRASH`` and ``SUSPECT``: time until it is due again.
        due_ms: ``RELEASE``: the due time it had when it was claimed, so that it gets its place back; None
            goes by ``delay_ms``.
        charge: ``FAIL``: what is charged.
        ttl_seconds: Terminal kinds: how long the record is kept; 0 keeps it.
        dlq_name: ``FAIL``: bare name of the DLQ.
        attempts_log: The whole new log; None leaves it.
        runner: ``COMPLETE``: who answered, for whoever looks at the job later; empty stores nobody.
        run_ms: Time in the runner, for the counters; None counts nothing.
        started: When it was claimed, as the claim said; empty settles whatever has the token.
    """

    job_id: str
    claim_seq: int | bytes
    kind: SettleKind
    queue: str
    text: str | bytes = ""
    delay_ms: int = 0
    charge: Charge = Charge.NONE
    ttl_seconds: float = 0
    dlq_name: str = "default"
    attempts_log: bytes | None = None
    run_ms: int | None = None
    due_ms: float | None = None
    runner: str = ""
    started: str = ""


class SettleReply(StrEnum):
    """Answer to one settlement; only ``OK`` wrote. After ``STALE`` and ``GONE`` the attempt is not ours."""

    OK = "ok"
    ALREADY = "already"
    STALE = "stale"
    GONE = "gone"
    WRONG_TYPE = "wrong_type"


def settle(
    keyspace: Keyspace,
    orchestrator_id: str,
    settlements: Sequence[Settlement],
    *,
    job_events: bool = False,
    compat_job_locks: bool = False,
    now_ms: int | None = None,
) -> ScriptCall[tuple[SettleReply, ...]]:
    """Return the call that ends all of ``settlements``; one reply each, in order."""
    args: list[Text] = [
        keyspace.prefix,
        orchestrator_id,
        now_arg(now_ms),
        "1" if job_events else "",
        "1" if compat_job_locks else "",
    ]
    for s in settlements:
        args += (
            s.job_id, s.claim_seq, s.kind.value, s.queue, s.text, _number(s),
            s.ttl_seconds, s.dlq_name, s.attempts_log or "", "" if s.run_ms is None else s.run_ms,
            s.started,
        )  # fmt: skip
    return ScriptCall("settle", (keyspace.active(orchestrator_id),), tuple(args), _decode)


def _number(settlement: Settlement) -> Text:
    if settlement.kind is SettleKind.COMPLETE:
        return settlement.runner
    if settlement.kind is SettleKind.FAIL:
        return settlement.charge.value
    if settlement.kind is SettleKind.RELEASE and settlement.due_ms is not None:
        return f"={settlement.due_ms!r}"
    return settlement.delay_ms


_REPLIES = {reply.value.encode(): reply for reply in SettleReply}


def _decode(reply: object) -> tuple[SettleReply, ...]:
    return tuple(
        _REPLIES[answer] if isinstance(answer, bytes) else SettleReply(as_text(answer))
        for answer in as_list(reply)
    )
