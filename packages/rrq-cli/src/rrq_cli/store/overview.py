"""Everything ``rrq top`` shows, in a handful of round trips."""

from rrq_cli.shapes import OrchestratorInfo, QueueStats
from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dlq_names, list_dead
from rrq_cli.store.orchestrators import active_ids, list_orchestrators
from rrq_cli.store.queues import queue_names, queue_stats
from rrq_cli.store.records import read_rows, time_of
from rrq_cli.store.throughput import Throughput
from rrq_cli.top import Overview

__all__ = ["look_over"]

_MOST_ROWS = 100


def look_over(store: Store, flow: Throughput) -> Overview:
    """Return queues (paused and busy ones first), orchestrators, the jobs that run longest, and the newest
    dead letters.
    """
    orchestrators: list[OrchestratorInfo] = list_orchestrators(store)
    held = [job_id for ids in active_ids(store).values() for job_id in ids[:_MOST_ROWS]]
    running = [row for row in read_rows(store, held[:_MOST_ROWS]) if row.status == "ACTIVE"]
    running.sort(key=lambda row: 0.0 if row.started_at is None else row.started_at.timestamp())
    names = dlq_names(store)
    dead = list_dead(store, names, lambda row: True, limit=_MOST_ROWS, offset=0, batch_size=_MOST_ROWS)
    return Overview(
        at=time_of(store.now_ms()),
        redis=store.display,
        queues=sorted(queue_stats(store, queue_names(store), flow=flow), key=_rank),
        orchestrators=orchestrators,
        running=running,
        dead=dead.jobs,
        dead_total=dead.total or 0,
    )


def _rank(queue: QueueStats) -> tuple[int, str]:
    """Order queues so that a small window has those to look at; by name among equals."""
    if queue.problem or queue.paused:
        return 0, queue.name
    # The last minute counts too: a queue that is served at once would come and go else.
    if queue.ready or queue.active or queue.per_second_1m:
        return 1, queue.name
    return 2 if queue.later else 3, queue.name
