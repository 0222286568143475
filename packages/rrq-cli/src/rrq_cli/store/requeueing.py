"""Reviving dead letters."""

from collections.abc import Sequence
from typing import Any

from rrq_cli.shapes import Requeued
from rrq_cli.store.choosing import Chosen, Progress, ids_of
from rrq_cli.store.client import Store
from rrq_cli.store.handling import carry_out
from rrq_protocol import transitions

__all__ = ["requeue_dead"]


def requeue_dead(
    store: Store,
    chosen: Chosen,
    *,
    target_queue: str | None = None,
    batch_size: int = 100,
    progress: Progress = lambda done: None,
) -> Requeued:
    """Give dead letters a fresh start, in the order they failed in."""

    def call(name: str, ids: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        return transitions.requeue(store.keys, name, ids, places=places, target_queue=target_queue)

    done = Requeued(ids=ids_of(chosen))
    done.results = carry_out(store, chosen, call, batch_size=batch_size, progress=progress)
    return done
