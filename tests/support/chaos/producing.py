"""A producer process of the bench: enqueue, and keep the ledger. Killed and started again, it goes on with
new jobs until its quota is acknowledged.

``python -m support.chaos.producing CONFIG``, where CONFIG is the JSON of :class:`Config`.
"""

import asyncio
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from rrq_producer import AsyncProducer, EnqueuedJob, Producer, QueueFull, RedisUnavailable
from rrq_protocol import Job, new_job_id
from support.chaos.ledger import Acknowledged, Attempted, Merged, Refused, append, read_ledger
from support.chaos.mix import choose

__all__ = ["Config", "main"]

# Shorter than some outages, so that callers see RedisUnavailable, and repeat with the same ids as it says.
_CALL_S = 2.0
_MOST_AT_ONCE = 20
_CLOSED_S = 0.02


class Config(msgspec.Struct, frozen=True):
    """What a producer process is told.

    Attributes:
        url: The Redis.
        prefix: The key prefix.
        ledger: Its own ledger file.
        seed: What its choices follow from, together with how often it was started.
        quota: Jobs to be acknowledged in all.
        share: Of the jobs of the round, its own.
        gate: File with the number of jobs of the round that may be accepted by now.
        per_second: Jobs a second, about.
        concurrent: Use the async producer and await many enqueues together.
    """

    url: str
    prefix: str
    ledger: str
    seed: str
    quota: int
    share: float
    gate: str
    per_second: float
    concurrent: bool


class _Account:
    """The ledger of this process, and how much of the quota is left."""

    def __init__(self, config: Config) -> None:
        self._path, self._gate = Path(config.ledger), Path(config.gate)
        self._quota, self._share = config.quota, config.share
        before = [entry for entry in read_ledger(self._path) if isinstance(entry, Acknowledged)]
        self.left = config.quota - len(before)
        self.rng = random.Random(f"{config.seed}:{len(before)}")

    def allowed(self) -> int:
        """Return how many jobs may be enqueued now."""
        by_now = math.ceil(int(self._gate.read_text()) * self._share)
        return min(by_now - (self._quota - self.left), self.left)

    def choose(self) -> list[Job]:
        """Return the next jobs; they are in the ledger as attempted. None if it is not the time for any."""
        count = min(self.rng.choice((1, 1, 1, 5, _MOST_AT_ONCE)), self.allowed())
        if count <= 0:
            return []
        chosen = [choose(self.rng, new_job_id(), time.monotonic()) for _ in range(count)]
        entries: list[Attempted] = [entry for entry, _ in chosen]
        append(self._path, entries)
        return [job for _, job in chosen]

    def settle(self, jobs: Sequence[Job], outcomes: Sequence[EnqueuedJob]) -> None:
        """Enter what the producer was told."""
        at = time.monotonic()
        own = [(str(job.job_id), outcome.id) for job, outcome in zip(jobs, outcomes, strict=True)]
        append(
            self._path,
            [Acknowledged(mine, at) if mine == told else Merged(mine, at, told) for mine, told in own],
        )
        self.left -= sum(mine == told for mine, told in own)

    def refused(self, jobs: Sequence[Job]) -> None:
        """Enter that there was no memory for these."""
        append(self._path, [Refused(str(job.job_id), time.monotonic()) for job in jobs])


def _enqueue(producer: Producer, account: _Account, jobs: list[Job]) -> None:
    while True:
        try:
            if len(jobs) == 1:
                account.settle(jobs, [producer.enqueue_job(jobs[0])])
            else:
                account.settle(jobs, producer.enqueue_many(jobs))
        except QueueFull:
            account.refused(jobs)
        except RedisUnavailable:
            continue
        return


async def _enqueue_one(producer: AsyncProducer, account: _Account, job: Job) -> None:
    while True:
        try:
            account.settle([job], [await producer.enqueue_job(job)])
        except QueueFull:
            account.refused([job])
        except RedisUnavailable:
            continue
        return


def _blocking(config: Config, account: _Account) -> None:
    with Producer(config.url, key_prefix=config.prefix, timeout_seconds=_CALL_S) as producer:
        while account.left > 0:
            if not (jobs := account.choose()):
                time.sleep(_CLOSED_S)
                continue
            _enqueue(producer, account, jobs)
            time.sleep(account.rng.expovariate(config.per_second / len(jobs)))


async def _concurrent(config: Config, account: _Account) -> None:
    async with AsyncProducer(config.url, key_prefix=config.prefix, timeout_seconds=_CALL_S) as producer:
        while account.left > 0:
            if not (jobs := account.choose()):
                await asyncio.sleep(_CLOSED_S)
                continue
            await asyncio.gather(*(_enqueue_one(producer, account, job) for job in jobs))
            await asyncio.sleep(account.rng.expovariate(config.per_second / len(jobs)))


def main(argument: str) -> None:
    """Enqueue until the quota is acknowledged."""
    config = msgspec.json.decode(argument, type=Config)
    account = _Account(config)
    if config.concurrent:
        asyncio.run(_concurrent(config, account))
    else:
        _blocking(config, account)


if __name__ == "__main__":
    main(sys.argv[1])
