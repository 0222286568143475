"""Every state change of RRQ as a value: one builder per Lua script, no I/O (RELIABILITY.md 2.2, T0 to T15).

==============  =========================  ==========================================================
builder         transitions                who calls it
==============  =========================  ==========================================================
enqueue         T0, T0r, T1                producers, cron, ``rrq debug``
claim           T2, T2q                    orchestrators
settle          T3, T4, T5, T6, T9, crash  the orchestrator that holds the attempt
register, …     lease rows                 orchestrators, for themselves
fence, recover  T7, T8, T9                 any orchestrator, for one that died
cancel          T10, T11                   producers, ``rrq job cancel``
requeue, purge  T12, T13                   ``rrq dlq``
repair          T15                        the reconciler, ``rrq doctor --repair``
rescore         (6.4)                      any orchestrator, when the server's clock stepped back
==============  =========================  ==========================================================
"""

from rrq_protocol.transitions.claim import Claim, ClaimedJob, ClaimRequest, Malformed, QueueReply, claim
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
    deregister,
    fence,
    heartbeat,
    recover,
    register,
)
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
    "EnqueueDefaults",
    "EnqueueKind",
    "EnqueueReply",
    "Evidence",
    "Guard",
    "Lease",
    "Malformed",
    "PreparedJob",
    "QueueReply",
    "Recovered",
    "RecoveryPolicy",
    "Repair",
    "RepairKind",
    "RepairReply",
    "RequeueReply",
    "Rescored",
    "SettleKind",
    "SettleReply",
    "Settlement",
    "cancel",
    "claim",
    "deregister",
    "enqueue",
    "fence",
    "heartbeat",
    "prepare",
    "purge",
    "recover",
    "register",
    "repair",
    "requeue",
    "rescore",
    "settle",
]
