"""The producer's side of a benchmark, for the public RRQ: as ``ours.py``, in that wheel's environment."""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

RRQClient: Any = importlib.import_module("rrq.client").RRQClient

GATHERED = 100


def _client(url: str) -> Any:
    return RRQClient(config={"redis_dsn": url})


async def _gathered(client: Any, queues: list[str], jobs: int) -> None:
    for start in range(0, jobs, GATHERED):
        numbers = range(start, min(start + GATHERED, jobs))
        options = [{"params": {}, "queue_name": queues[n % len(queues)]} for n in numbers]
        await asyncio.gather(*(client.enqueue("noop", each) for each in options))


async def fill(url: str, queues: list[str], jobs: int) -> dict[str, Any]:
    """Enqueue jobs, spread evenly over the queues."""
    client = _client(url)
    await _gathered(client, queues, jobs)
    await client.close()
    return {}


async def enqueue(url: str, mode: str, jobs: int) -> dict[str, Any]:
    """Enqueue jobs one by one, or 100 at a time: there is no bulk call. Return the seconds it took."""
    client = _client(url)
    await client.enqueue("noop", {"params": {}})
    started = time.perf_counter()
    if mode == "one by one":
        for _ in range(jobs):
            await client.enqueue("noop", {"params": {}})
    else:
        await _gathered(client, ["default"], jobs)
    seconds = time.perf_counter() - started
    await client.close()
    return {"seconds": seconds}


async def round_trips(url: str, jobs: int, pause_s: float) -> dict[str, Any]:
    """Enqueue a job once the result of the one before was seen, and so on; return the times in ms."""
    times_ms: list[float] = []
    client = _client(url)
    for number in range(jobs + 5):
        started = time.perf_counter()
        job_id = await client.enqueue("noop", {"params": {}})
        # None after 30 s without a result: the round trip takes longer than what is counted here.
        await client.wait_for_completion(job_id)
        if number >= 5:
            times_ms.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(pause_s)
    await client.close()
    return {"ms": times_ms}


async def load(url: str, rate: float) -> dict[str, Any]:
    """Enqueue ``rate`` jobs a second, until killed."""
    client = _client(url)
    started, sent = time.perf_counter(), 0
    while True:
        due = int((time.perf_counter() - started) * rate) - sent
        await _gathered(client, ["default"], due)
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
