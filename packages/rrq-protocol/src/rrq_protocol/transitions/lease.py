"""Leases of orchestrators: register, beat, leave; and fence and recover for one that died.

Source: RELIABILITY.md 6.2, 6.3, 6.6.
"""

from typing import cast

import msgspec

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = [
    "Beat",
    "Lease",
    "Recovered",
    "RecoveryPolicy",
    "Registered",
    "deregister",
    "fence",
    "heartbeat",
    "recover",
    "register",
]


class Lease(msgspec.Struct, frozen=True):
    """What a beat writes: how long the lease runs, and the report others may read meanwhile (JSON).

    An empty report leaves the one that stands as it is, and its end of life too.
    """

    orchestrator_id: str
    lease_ms: int
    report: bytes
    report_ttl_ms: int


class Beat(msgspec.Struct, frozen=True):
    """Answer to a heartbeat: whether the lease was taken away, and if not the server's time in epoch ms."""

    fenced: bool
    now_ms: int


class Registered(msgspec.Struct, frozen=True):
    """Answer to a registration: the server's time in epoch ms; the id of the first orchestrator that this key
    space saw; and how many registrations it has seen, this one included. They are "" and 0 where the key that
    holds them is in other use.

    Another ``first`` than before is another key space: the earlier one was lost (RELIABILITY.md F27). A
    ``count`` that did not grow is an earlier state of the same (F28).
    """

    now_ms: int
    first: str
    count: int


def _lease_args(lease: Lease, now_ms: int | None) -> tuple[str | int | bytes, ...]:
    return (lease.orchestrator_id, now_arg(now_ms), lease.lease_ms, lease.report, lease.report_ttl_ms)


def register(keyspace: Keyspace, lease: Lease, *, now_ms: int | None = None) -> ScriptCall[Registered]:
    """Return the call that makes an orchestrator known."""
    keys = (keyspace.workers, keyspace.health(lease.orchestrator_id), keyspace.epoch)
    return ScriptCall("register", keys, _lease_args(lease, now_ms), _decode_registered)


def _decode_registered(reply: object) -> Registered:
    now_ms, first, count = as_list(reply)
    return Registered(int(as_text(now_ms)), as_text(first), cast(int, count))


def heartbeat(keyspace: Keyspace, lease: Lease, *, now_ms: int | None = None) -> ScriptCall[Beat]:
    """Return the call that renews a lease."""
    keys = (keyspace.workers, keyspace.health(lease.orchestrator_id))
    return ScriptCall("heartbeat", keys, _lease_args(lease, now_ms), _decode_beat)


def _decode_beat(reply: object) -> Beat:
    now_ms = int(as_text(reply))
    return Beat(now_ms == 0, now_ms)


def deregister(keyspace: Keyspace, orchestrator_id: str, *, now_ms: int | None = None) -> ScriptCall[int]:
    """Return the call of a clean stop; its result is the number of jobs still held, left to the janitors."""
    keys = (
        keyspace.workers,
        keyspace.health(orchestrator_id),
        keyspace.active(orchestrator_id),
        keyspace.reaping,
        keyspace.control(orchestrator_id),
    )
    return ScriptCall(
        "deregister", keys, (orchestrator_id, now_arg(now_ms)), lambda reply: int(cast(int, reply))
    )


def fence(
    keyspace: Keyspace, orchestrator_id: str, observed: float, *, now_ms: int | None = None
) -> ScriptCall[bool]:
    """Return the call that declares an orchestrator dead, if its lease still has the ``observed`` value."""
    args = (orchestrator_id, now_arg(now_ms), repr(observed))
    return ScriptCall("fence", (keyspace.workers, keyspace.reaping), args, lambda reply: reply == 1)


class RecoveryPolicy(msgspec.Struct, frozen=True):
    """How jobs of a dead orchestrator are taken back.

    A job is dead-lettered at its ``max_crashes``-th crash. After the first it may run at once, after the
    second it waits ``crash_delay_ms``, and twice as long after each further one.
    """

    max_crashes: int = 3
    crash_delay_ms: int = 5000
    dlq_name: str = "default"
    failed_ttl_seconds: float = 604_800
    cancelled_ttl_seconds: float = 86_400
    job_events: bool = False


class Recovered(msgspec.Struct, frozen=True):
    """What one call did to jobs; ``pruned`` index entries were not its any more, ``left`` is to do."""

    recovered: int
    dead_lettered: int
    cancelled: int
    pruned: int
    left: int


def recover(
    keyspace: Keyspace, dead_id: str, policy: RecoveryPolicy, *, limit: int = 100, now_ms: int | None = None
) -> ScriptCall[Recovered]:
    """Return the call that takes back up to ``limit`` jobs of a fenced orchestrator."""
    keys = (
        keyspace.workers,
        keyspace.reaping,
        keyspace.active(dead_id),
        keyspace.health(dead_id),
        keyspace.control(dead_id),
    )
    args = (
        keyspace.prefix, dead_id, now_arg(now_ms), limit, policy.max_crashes, policy.crash_delay_ms,
        policy.dlq_name, int(policy.failed_ttl_seconds), int(policy.cancelled_ttl_seconds),
        "1" if policy.job_events else "",
    )  # fmt: skip
    return ScriptCall("recover", keys, args, _decode_recovered)


def _decode_recovered(reply: object) -> Recovered:
    return Recovered(*(int(cast(int, n)) for n in as_list(reply)))
