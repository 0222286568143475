"""Every state change of RRQ as a value: one builder per Lua script, no I/O (RELIABILITY.md 2.2, T0 to T15).

==============  =========================  ==========================================================
builder         transitions                who calls it
==============  =========================  ==========================================================
enqueue         T0, T0r, T1                producers, cron, ``rrq debug``
anchor          (6.8)                      any orchestrator, for a cron entry it has not seen yet
claim           T2, T2q                    orchestrators
settle          T3, T4, T5, T6, T9, crash  the orchestrator that holds the attempt
register, …     lease rows                 orchestrators, for themselves
fence, recover  T7, T8, T9                 any orchestrator, for one that died
cancel          T10, T11                   producers, ``rrq job cancel``
requeue, purge  T12, T13                   ``rrq dlq``, ``rrq queue purge``
pause, resume   (no job changes)           ``rrq queue``
drain           (no job changes)           ``rrq worker drain``
repair          T15                        the reconciler, ``rrq doctor --repair``
rescore         (6.4)                      any orchestrator, when the server's clock stepped back
==============  =========================  ==========================================================
"""

from rrq_protocol.transitions.claim import (
    Claim,
    ClaimedJob,
    ClaimRequest,
    Malformed,
    QueueReply,
    claim,
    problem_of,
)
from rrq_protocol.transitions.cron import anchor
from rrq_protocol.transitions.ending import CancelReply, RequeueReply, cancel, purge, requeue
from rrq_protocol.transitions.enqueue import (
    EnqueueDefaults,
    EnqueueKind,
    EnqueueReply,
    Guard,
    PreparedJob,
    enqueue,
    prepare,
)
from rrq_protocol.transitions.lease import (
    Beat,
    Lease,
    Recovered,
    RecoveryPolicy,
    Registered,
    deregister,
    fence,
    heartbeat,
    recover,
    register,
)
from rrq_protocol.transitions.operate import DrainReply, Paused, PauseReply, drain, pause, resume
from rrq_protocol.transitions.repair import Evidence, Repair, RepairKind, RepairReply, repair
from rrq_protocol.transitions.rescore import Rescored, rescore
from rrq_protocol.transitions.settle import Charge, SettleKind, Settlement, SettleReply, settle

__all__ = [
    "Beat",
    "CancelReply",
    "Charge",
    "Claim",
    "ClaimRequest",
    "ClaimedJob",
    "DrainReply",
    "EnqueueDefaults",
    "EnqueueKind",
    "EnqueueReply",
    "Evidence",
    "Guard",
    "Lease",
    "Malformed",
    "PauseReply",
    "Paused",
    "PreparedJob",
    "QueueReply",
    "Recovered",
    "RecoveryPolicy",
    "Registered",
    "Repair",
    "RepairKind",
    "RepairReply",
    "RequeueReply",
    "Rescored",
    "SettleKind",
    "SettleReply",
    "Settlement",
    "anchor",
    "cancel",
    "claim",
    "deregister",
    "drain",
    "enqueue",
    "fence",
    "heartbeat",
    "pause",
    "prepare",
    "problem_of",
    "purge",
    "recover",
    "register",
    "repair",
    "requeue",
    "rescore",
    "resume",
    "settle",
]
