"""Deleting jobs: those that wait in a queue, and dead letters."""

from collections import Counter
from collections.abc import Callable, Sequence

from rrq_cli.shapes import Purged
from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import Accepts, choose_dead
from rrq_cli.store.records import key_problem, text_of
from rrq_protocol import transitions
from rrq_protocol.transitions import RequeueReply

__all__ = ["purge_dead", "purge_queue"]

_STEP = 200
Progress = Callable[[float], None]


def purge_queue(
    store: Store, name: str, *, most: int | None = None, progress: Progress = lambda done: None
) -> Purged:
    """Delete the jobs that wait in a queue now, those due later too; what is claimed meanwhile is left alone.

    Args:
        store: The connection.
        name: The queue.
        most: Jobs at most, the next ones first; None is all that were there at the start.
        progress: Told of each batch.
    """
    key = store.keys.queue(name)
    (card,) = store.ask(("ZCARD", key))
    if (problem := key_problem(card, "sorted set")) is not None:
        return Purged(problem=problem)
    left = card if most is None else min(card, most)
    answers: Counter[str] = Counter()
    stay = 0  # entries that could not be deleted; the next batch begins after them
    while left > 0:
        (ids,) = store.ask(("ZRANGE", key, stay, stay + min(_STEP, left) - 1))
        if isinstance(ids, Exception) or not ids:
            break
        # The DLQ matters for dead letters only; of jobs that wait there are none in it.
        dlq = store.settings.default_dlq_name
        call = transitions.purge(store.keys, dlq, [text_of(each) for each in ids], waiting_only=True)
        replies = store.run(call)
        answers.update(reply.value for reply in replies)
        stay += sum(reply is not RequeueReply.OK for reply in replies)
        left -= len(ids)
        progress(len(ids))
    return Purged(results=_ordered(answers))


def purge_dead(
    store: Store,
    names: Sequence[str],
    accepts: Accepts,
    *,
    most: int | None,
    dry_run: bool,
    batch_size: int = 100,
    progress: Progress = lambda done: None,
) -> Purged:
    """Delete dead letters that ``accepts`` takes, newest first, or with ``dry_run`` say which."""
    chosen = choose_dead(store, names, accepts, most=most, batch_size=batch_size)
    result = Purged(dry_run=dry_run, ids=[job_id for ids in chosen.values() for job_id in ids])
    if dry_run:
        return result
    answers: Counter[str] = Counter()
    for name, ids in chosen.items():
        for start in range(0, len(ids), batch_size):
            replies = store.run(transitions.purge(store.keys, name, ids[start : start + batch_size]))
            answers.update(reply.value for reply in replies)
            progress(len(replies))
    result.results = _ordered(answers)
    return result


def _ordered(answers: Counter[str]) -> dict[str, int]:
    return {reply.value: answers[reply.value] for reply in RequeueReply if answers[reply.value]}
