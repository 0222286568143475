"""Damage for the model check: one index entry broken by hand, and the repair that must undo it (T15)."""

from collections.abc import Callable, Iterator
from typing import Any

from rrq_protocol import Keyspace
from rrq_protocol.transitions import Evidence, Repair, RepairKind
from support.model import ENDED, WAITING, Model, ModelJob

__all__ = ["Breaking"]

Break = Callable[[], object]
Undo = Callable[[float], object]


def _nothing(_: float) -> None:
    """A repair after which all is as it was."""


class Breaking:
    """Breaks what a model's keyspace has; ``client`` is a blocking one."""

    def __init__(self, client: Any, keyspace: Keyspace) -> None:
        self._redis, self._keys = client, keyspace

    def all(self, model: Model) -> list[tuple[Repair, Break, Undo]]:
        """Return repairs, each with what breaks the keys so that it is due, and what it does to the model."""
        of_jobs = [each for job in model.jobs.values() for each in self._of_job(job, model)]
        return [*of_jobs, *self._orphans(model)]

    def _of_job(self, job: ModelJob, model: Model) -> Iterator[tuple[Repair, Break, Undo]]:
        redis, keys, seen = self._redis, self._keys, model.evidence(job.id)
        queue = keys.queue(job.queue)

        def repair(kind: RepairKind, place: str = "", due_ms: int | None = None) -> Repair:
            return Repair(kind, job.id, seen, place, due_ms)

        def requeued(_: float) -> None:
            job.due = int(job.due)

        def held_anew(now: float) -> None:
            job.started = now  # the order in which janitors take jobs back

        def buried(_: float) -> None:
            model.dlq.remove(job.id)
            model.dlq.insert(0, job.id)

        if job.status in WAITING:
            back = repair(RepairKind.QUEUE, due_ms=int(job.due))
            yield back, lambda: redis.zrem(queue, job.id), requeued
            yield back, lambda: redis.zadd(queue, {job.id: "inf"}), requeued
        if job.status not in ENDED:
            yield repair(RepairKind.TTL), lambda: redis.expire(keys.job(job.id), 900), _nothing
            out = repair(RepairKind.BURIED, "default")
            yield out, lambda: redis.rpush(keys.dlq("default"), job.id), _nothing
        if job.status not in ENDED and job.unique:
            kept = repair(RepairKind.KEY)
            yield kept, lambda: redis.delete(keys.idempotency(str(job.unique))), _nothing
        if job.status == "ACTIVE":
            lost = repair(RepairKind.OWNER)
            yield lost, lambda: redis.zrem(keys.active(str(job.worker)), job.id), held_anew
        else:
            out = repair(RepairKind.HELD, "a")
            yield out, lambda: redis.zadd(keys.active("a"), {job.id: 1}), _nothing
        if job.status not in WAITING:
            out = repair(RepairKind.QUEUED, job.queue)
            yield out, lambda: redis.zadd(queue, {job.id: 1}), _nothing
        if job.status in ENDED:
            held = repair(RepairKind.IDEMPOTENCY, "left")
            yield held, lambda: redis.set(keys.idempotency("left"), job.id), _nothing
        if job.status == "FAILED":
            dead = repair(RepairKind.DEAD, "default")
            yield dead, lambda: redis.lrem(keys.dlq("default"), 0, job.id), buried
            yield dead, lambda: redis.rpush(keys.dlq("default"), job.id), buried

    def _orphans(self, model: Model) -> Iterator[tuple[Repair, Break, Undo]]:
        for owner in sorted({str(job.worker) for job in model.jobs.values() if job.status == "ACTIVE"}):

            def forgotten(owner: str = owner) -> None:
                self._redis.zrem(self._keys.workers, owner)
                self._redis.zrem(self._keys.reaping, owner)
                self._redis.delete(self._keys.health(owner))

            def reaped(now: float, owner: str = owner) -> None:
                model.workers.pop(owner, None)
                model.reaping[owner] = now

            yield Repair(RepairKind.REAP, "", Evidence(), owner), forgotten, reaped
