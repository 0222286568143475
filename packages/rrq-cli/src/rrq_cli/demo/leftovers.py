"""What an earlier demo left in Redis: taken back from dead orchestrators and deleted. Others keep theirs.

Who holds a job of the demo is read from what is authoritative: the lease rows and reaping rows, the active
sets, and the records themselves. Health reports expire; where there is one, it tells that a process has died
before its lease runs out.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Set

import msgspec

from rrq_cli.demo.plan import QUEUE
from rrq_cli.exits import fail
from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import lease_state, leases, read_report
from rrq_cli.store.queues import batches, glob_escaped, scan_keys
from rrq_cli.store.records import text_of
from rrq_cli.words import plural
from rrq_protocol import transitions
from rrq_protocol.transitions import Evidence, Repair, RepairKind, RequeueReply

__all__ = ["Leftover", "clear", "demo_records", "orchestrators"]

_GIVE_UP_S = 20.0
_PAUSE_S = 0.2
_CHUNK = 500
_FIELDS = ("queue_name", "dlq_name", "status", "worker_id", "claim_seq")
Wait = Callable[[float], None]


class Leftover(msgspec.Struct, frozen=True):
    """What the record of a demo's job says: where it is listed when it failed, and who holds it."""

    dlq_name: str
    evidence: Evidence

    @property
    def holder(self) -> str | None:
        """The orchestrator of a job that is ACTIVE, None for all others; may be empty."""
        return self.evidence.worker_id if self.evidence.status == "ACTIVE" else None


def demo_records(store: Store) -> dict[str, Leftover]:
    """Return the jobs of the queue ``demo`` by id. Reads all records of the server."""
    found: dict[str, Leftover] = {}
    prefix, queue_key = store.keys.job(""), store.keys.queue(QUEUE).encode()
    for keys in batches(scan_keys(store, glob_escaped(prefix) + "*", 0, "hash"), _CHUNK):
        for key, reply in zip(keys, store.ask(*(("HMGET", key, *_FIELDS) for key in keys)), strict=True):
            if not isinstance(reply, Exception) and reply[0] == queue_key:
                evidence = Evidence(*((raw or b"").decode("utf-8", "surrogateescape") for raw in reply[2:]))
                dlq_name = text_of(reply[1]) if reply[1] else QUEUE
                found[key.removeprefix(prefix)] = Leftover(dlq_name, evidence)
    return found


def orchestrators(store: Store) -> dict[str, float]:
    """Return the orchestrators that report to serve the queue ``demo``, with the value of their leases."""
    live, _ = leases(store)
    names = list(live)
    replies = store.ask(*(("GET", store.keys.health(name)) for name in names))
    return {
        name: live[name]
        for name, reply in zip(names, replies, strict=True)
        if QUEUE in read_report(name, reply).queues
    }


def clear(store: Store, wait: Wait) -> int:
    """Delete every job of the queue ``demo`` and its counters; return how many jobs there were.

    Args:
        store: The connection.
        wait: Waits so many seconds; raises when the demo is to end.

    Raises:
        CliError: Someone else is working on that queue, or something cannot be deleted.
    """
    give_up = time.monotonic() + _GIVE_UP_S
    deleted = 0
    while True:
        _end_orchestrators(store, wait, give_up)
        deleted += _purge(store, demo_records(store), wait)
        left = demo_records(store)  # what is there, whatever the answers were
        if not left:
            break
        if time.monotonic() > give_up:
            what = f"{plural(len(left), 'job')} of an earlier demo cannot be deleted, such as {min(left)}"
            fail(f"{what}: its orchestrator may still run; run the demo in another folder with --dir")
        wait(_PAUSE_S)
    # Ids whose records had expired.
    store.ask(
        *(("DEL", key) for key in (store.keys.queue(QUEUE), store.keys.dlq(QUEUE), store.keys.stats(QUEUE)))
    )
    minutes = list(scan_keys(store, glob_escaped(store.keys.stats(QUEUE)) + ":*", 0, "hash"))
    store.ask(*(("DEL", key) for key in minutes))
    return deleted


def _purge(store: Store, records: Mapping[str, Leftover], wait: Wait) -> int:
    """Delete jobs that nobody holds, and return how many."""
    by_dlq: dict[str, list[str]] = {}
    for job_id, record in records.items():
        by_dlq.setdefault(store.keys.dlq_name(record.dlq_name), []).append(job_id)
    deleted = 0
    for dlq_name, ids in by_dlq.items():
        for chunk in batches(ids, _CHUNK):
            replies = store.run(transitions.purge(store.keys, dlq_name, chunk, waiting_too=True))
            deleted += sum(reply is RequeueReply.OK for reply in replies)
            wait(0)
    return deleted


def _end_orchestrators(store: Store, wait: Wait, give_up: float) -> None:
    """Take the jobs of a killed demo's orchestrators back, as a janitor would, without waiting for one."""
    while True:
        records = demo_records(store)
        # After the records: whoever claimed one of them is in a list now, or is dead.
        live, dead = leases(store)
        _list_the_unlisted(store, records, {*live, *dead})
        serving = {name: lease for name, lease in live.items() if _serves(store, name, records)}
        now = store.now_ms()
        for name, lease in serving.items():
            report = read_report(name, store.ask(("GET", store.keys.health(name)))[0])
            if lease_state(lease, now) != "live" or _has_died(report.host, report.pid):
                store.run(transitions.fence(store.keys, name, lease))
        _recover_all(store, wait, records)
        left = [name for name in leases(store)[0] if name in serving]
        if not left:
            return
        if time.monotonic() > give_up:
            fail(
                f"another orchestrator ({left[0]}) serves the queue {QUEUE} here: "
                "stop it, or run the demo in another folder with --dir"
            )
        wait(_PAUSE_S)


def _serves(store: Store, name: str, records: Mapping[str, Leftover]) -> bool:
    """Whether an orchestrator works on the queue ``demo``, or may: one without a report is not ruled out."""
    report = read_report(name, store.ask(("GET", store.keys.health(name)))[0])
    return report.problem is not None or QUEUE in report.queues or bool(_held(store, name) & records.keys())


def _held(store: Store, name: str) -> set[str]:
    """Return the ids in an orchestrator's active set; none where its key holds something else."""
    (reply,) = store.ask(("ZRANGE", store.keys.active(name), 0, -1))
    return set() if isinstance(reply, Exception) else {text_of(each) for each in reply}


def _list_the_unlisted(store: Store, records: Mapping[str, Leftover], listed: Set[str]) -> None:
    """Give orchestrators that nobody knows any more, and hold jobs of the demo, to the janitors: to us."""
    start = store.keys.active("")
    known = scan_keys(store, glob_escaped(start) + "*", 0, "zset")
    lost = {name for name in (key.removeprefix(start) for key in known) if name not in listed}
    lost = {name for name in lost if _held(store, name) & records.keys()}
    repairs = [Repair(RepairKind.REAP, place=name) for name in sorted(lost)]
    repairs += [
        Repair(RepairKind.OWNER, job_id, record.evidence)
        for job_id, record in records.items()
        if record.holder is not None
    ]
    for at in range(0, len(repairs), _CHUNK):
        store.run(transitions.repair(store.keys, repairs[at : at + _CHUNK]))


def _has_died(host: str | None, pid: int | None) -> bool:
    if host != socket.gethostname() or pid is None or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _recover_all(store: Store, wait: Wait, records: Mapping[str, Leftover]) -> None:
    """Take everything back from dead orchestrators that hold jobs of the demo, or nothing at all."""
    _, dead = leases(store)
    policy = transitions.RecoveryPolicy(max_crashes=1_000_000, crash_delay_ms=0)
    for name in dead:
        held = _held(store, name)
        if held and not held & records.keys():
            continue
        while store.run(transitions.recover(store.keys, name, policy)).left:
            wait(0)
