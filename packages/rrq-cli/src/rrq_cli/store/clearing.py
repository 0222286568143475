"""Clearing away what was generated: jobs by the pattern of their ids, and orchestrators that are none."""

from collections import Counter
from collections.abc import Callable

from rrq_cli.shapes import Cleared
from rrq_cli.store.client import Store
from rrq_cli.store.generating import WORKER_PREFIX
from rrq_cli.store.orchestrators import leases
from rrq_cli.store.queues import batches, glob_escaped, scan_keys
from rrq_protocol import InvalidName, transitions, validate_job_id
from rrq_protocol.transitions import RequeueReply

__all__ = ["clear", "count_matching"]

_STEP = 200


def count_matching(store: Store, pattern: str) -> int:
    """Return how many jobs have ids that match."""
    return sum(1 for _ in _keys(store, pattern))


def _keys(store: Store, pattern: str) -> "set[str]":
    """Return the keys of the jobs; a scan may name one twice."""
    return set(scan_keys(store, glob_escaped(store.keys.job("")) + pattern, 0))


def clear(store: Store, pattern: str, progress: Callable[[float], None] = lambda done: None) -> Cleared:
    """Delete jobs whose ids match, unless they run, and the orchestrators of ``generate-workers``."""
    answers: Counter[str] = Counter()
    start = store.keys.job("")
    ids = [key.removeprefix(start) for key in _keys(store, pattern)]
    for page in batches((each for each in ids if _is_id(each)), _STEP):
        replies = store.run(
            transitions.purge(store.keys, store.settings.default_dlq_name, page, waiting_too=True)
        )
        answers.update(reply.value for reply in replies)
        progress(len(page))
    workers = [name for name in leases(store)[0] if name.startswith(WORKER_PREFIX)]
    for name in workers:
        store.run(transitions.deregister(store.keys, name))
    results = {reply.value: answers[reply.value] for reply in RequeueReply if answers[reply.value]}
    return Cleared(results=results, orchestrators=len(workers))


def _is_id(text: str) -> bool:
    try:
        validate_job_id(text)
    except InvalidName:
        return False
    return True
