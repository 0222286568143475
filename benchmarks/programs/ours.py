"""The producer's side of a benchmark, for RRQ: ``python ours.py '{"task": …}'`` prints its answer as JSON."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from rrq_producer import AsyncProducer, Producer
from rrq_protocol import Job

CHUNK = 1000


async def fill(url: str, queues: list[str], jobs: int) -> dict[str, Any]:
    """Enqueue jobs, spread evenly over the queues."""
    async with AsyncProducer(url) as producer:
        for start in range(0, jobs, CHUNK):
            numbers = range(start, min(start + CHUNK, jobs))
            await producer.enqueue_many(
                [Job("noop", {}, queue_name=queues[n % len(queues)]) for n in numbers]
            )
    return {}


async def enqueue(url: str, mode: str, jobs: int) -> dict[str, Any]:
    """Enqueue jobs in one of the ways an application may; return the seconds it took."""
    if mode == "blocking":
        return await asyncio.to_thread(_enqueue_blocking, url, jobs)
    async with AsyncProducer(url) as producer:
        await producer.enqueue("noop")
        started = time.perf_counter()
        if mode == "one by one":
            for _ in range(jobs):
                await producer.enqueue("noop")
        elif mode == "gathered":
            for start in range(0, jobs, 100):
                await asyncio.gather(*(producer.enqueue("noop") for _ in range(min(100, jobs - start))))
        else:
            for start in range(0, jobs, CHUNK):
                await producer.enqueue_many([Job("noop", {}) for _ in range(min(CHUNK, jobs - start))])
        return {"seconds": time.perf_counter() - started}


def _enqueue_blocking(url: str, jobs: int) -> dict[str, Any]:
    with Producer(url) as producer:
        producer.enqueue("noop")
        started = time.perf_counter()
        for _ in range(jobs):
            producer.enqueue("noop")
        return {"seconds": time.perf_counter() - started}


async def round_trips(url: str, jobs: int, pause_s: float) -> dict[str, Any]:
    """Enqueue a job once the result of the one before was seen, and so on; return the times in ms."""
    times_ms: list[float] = []
    async with AsyncProducer(url) as producer:
        for number in range(jobs + 5):
            started = time.perf_counter()
            job = await producer.enqueue("noop")
            await producer.wait(job.id, timeout=30)
            if number >= 5:  # the first ones open connections and load scripts
                times_ms.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(pause_s)
    return {"ms": times_ms}


async def load(url: str, rate: float) -> dict[str, Any]:
    """Enqueue ``rate`` jobs a second, until killed."""
    async with AsyncProducer(url) as producer:
        started, sent = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - started) * rate) - sent
            if due > 0:
                await producer.enqueue_many([Job("noop", {}) for _ in range(due)])
                sent += due
            await asyncio.sleep(0.01)


TASKS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "fill": fill,
    "enqueue": enqueue,
    "round_trips": round_trips,
    "load": load,
}


def main() -> None:
    """Carry out the task in the first argument."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(TASKS[request.pop("task")](**request))))


if __name__ == "__main__":
    main()
