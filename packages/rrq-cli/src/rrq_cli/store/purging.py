"""Deleting jobs: those that wait in a queue, and dead letters."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rrq_cli.shapes import Purged
from rrq_cli.store.choosing import Chosen, Progress, ids_of
from rrq_cli.store.client import Store
from rrq_cli.store.handling import carry_out, ordered
from rrq_cli.store.records import key_problem, text_of
from rrq_protocol import transitions
from rrq_protocol.transitions import RequeueReply

__all__ = ["purge_dead", "purge_queue"]

_STEP = 200


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
    if card:
        # Strangers' queues may be unknown, and their records name none: entries are looked for in known ones.
        store.ask(("SADD", store.keys.queues, name))
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
    return Purged(results=ordered(answers))


def purge_dead(
    store: Store, chosen: Chosen, *, batch_size: int = 100, progress: Progress = lambda done: None
) -> Purged:
    """Delete dead letters, entries and records, oldest first."""

    def call(name: str, ids: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        return transitions.purge(store.keys, name, ids, places=places)

    done = Purged(ids=ids_of(chosen))
    done.results = carry_out(store, chosen, call, batch_size=batch_size, progress=progress)
    return done
