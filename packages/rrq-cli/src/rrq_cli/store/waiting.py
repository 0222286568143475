"""Waiting for the end of a job: subscribe, read, wait, so no end is missed (REDIS_SCHEMA.md *Waiting*)."""

import time

from rrq_cli.shapes import JobDetail
from rrq_cli.store.client import Store
from rrq_cli.store.records import read_detail
from rrq_protocol import JobStatus

__all__ = ["TERMINAL", "wait_for_end"]

TERMINAL = frozenset(status.value for status in JobStatus if status.is_terminal)
_LOOK_AGAIN_S = 1.0


def wait_for_end(store: Store, job_id: str, timeout_s: float | None) -> JobDetail:
    """Return a job once it has ended, is found to be broken, or the time is up; None waits for ever.

    Raises:
        CliError: There is no such job, or it is gone while it is waited for.
    """
    give_up = None if timeout_s is None else time.monotonic() + timeout_s
    # The client is typed in parts only.
    with store.redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(store.keys.channel(job_id))
        while True:
            found = read_detail(store, job_id)
            left = _LOOK_AGAIN_S if give_up is None else give_up - time.monotonic()
            if found.status in TERMINAL or found.problem is not None or left <= 0:
                return found
            # The channel is a hint and may be lost; the record is the truth, so it is read again from time to
            # time.
            channel.get_message(timeout=min(left, _LOOK_AGAIN_S))
