"""What an earlier demo left in Redis: taken back from dead orchestrators and deleted. Others keep theirs."""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from rrq_cli.demo.plan import QUEUE
from rrq_cli.exits import fail
from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import leases, read_report
from rrq_cli.store.queues import batches, glob_escaped, scan_keys
from rrq_cli.store.records import text_of
from rrq_protocol import transitions

__all__ = ["clear", "demo_records", "orchestrators"]

_GIVE_UP_S = 20.0
_PAUSE_S = 0.1
_CHUNK = 500
Wait = Callable[[float], None]


def demo_records(store: Store) -> dict[str, tuple[str, str]]:
    """Return the jobs of the queue ``demo``: id to status and DLQ name. Reads all records of the server."""
    found: dict[str, tuple[str, str]] = {}
    prefix, queue_key = store.keys.job(""), store.keys.queue(QUEUE).encode()
    for keys in batches(scan_keys(store, glob_escaped(prefix) + "*", 0, "hash"), _CHUNK):
        replies = store.ask(*(("HMGET", key, "queue_name", "status", "dlq_name") for key in keys))
        for key, reply in zip(keys, replies, strict=True):
            if not isinstance(reply, Exception) and reply[0] == queue_key:
                found[key.removeprefix(prefix)] = (
                    text_of(reply[1] or b""),
                    text_of(reply[2] or QUEUE.encode()),
                )
    return found


def orchestrators(store: Store) -> dict[str, float]:
    """Return the orchestrators with a lease that serve the queue ``demo``, with the value of the lease."""
    live, _ = leases(store)
    names = list(live)
    replies = store.ask(*(("GET", store.keys.health(name)) for name in names))
    serving = {}
    for name, reply in zip(names, replies, strict=True):
        if QUEUE in read_report(name, reply).queues:
            serving[name] = live[name]
    return serving


def clear(store: Store, wait: Wait) -> int:
    """Delete every job of the queue ``demo`` and its counters; return how many jobs there were.

    Args:
        store: The connection.
        wait: Waits so many seconds; raises when the demo is to end.

    Raises:
        CliError: Someone else is working on that queue.
    """
    _end_orchestrators(store, wait)
    records = demo_records(store)
    by_dlq: dict[str, list[str]] = {}
    for job_id, (_, dlq_name) in records.items():
        by_dlq.setdefault(store.keys.dlq_name(dlq_name), []).append(job_id)
    for dlq_name, ids in by_dlq.items():
        for chunk in batches(ids, _CHUNK):
            store.run(transitions.purge(store.keys, dlq_name, chunk, waiting_too=True))
            wait(0)
    # Ids whose records had expired.
    store.ask(
        *(("DEL", key) for key in (store.keys.queue(QUEUE), store.keys.dlq(QUEUE), store.keys.stats(QUEUE)))
    )
    minutes = list(scan_keys(store, glob_escaped(store.keys.stats(QUEUE)) + ":*", 0, "hash"))
    store.ask(*(("DEL", key) for key in minutes))
    return len(records)


def _end_orchestrators(store: Store, wait: Wait) -> None:
    """Take the jobs of a killed demo's orchestrator back, as a janitor would, without waiting for one."""
    give_up = time.monotonic() + _GIVE_UP_S
    while serving := orchestrators(store):
        now = store.now_ms()
        for name, lease in serving.items():
            report = read_report(name, store.ask(("GET", store.keys.health(name)))[0])
            if lease < now or _has_died(report.host, report.pid):
                store.run(transitions.fence(store.keys, name, lease))
        _recover_all(store, wait)
        if time.monotonic() > give_up:
            fail(
                f"another orchestrator ({next(iter(serving))}) serves the queue {QUEUE} here: "
                "stop it, or run the demo in another folder with --dir"
            )
        wait(_PAUSE_S)
    _recover_all(store, wait)


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


def _recover_all(store: Store, wait: Wait) -> None:
    _, dead = leases(store)
    policy = transitions.RecoveryPolicy(max_crashes=1_000_000, crash_delay_ms=0)
    for name in dead:
        if not _is_ours(store, name):
            continue
        while store.run(transitions.recover(store.keys, name, policy)).left:
            wait(0)


def _is_ours(store: Store, name: str) -> bool:
    """Whether a dead orchestrator held jobs of the demo, or nothing at all."""
    (held,) = store.ask(("ZRANGE", store.keys.active(name), 0, 0))
    if isinstance(held, Exception):
        return False
    if not held:
        return True
    (queue,) = store.ask(("HGET", store.keys.job(text_of(held[0])), "queue_name"))
    of_demo: Any = store.keys.queue(QUEUE).encode()
    return bool(queue == of_demo)
