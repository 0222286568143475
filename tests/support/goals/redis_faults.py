"""Deaths of Redis under orchestrators at work."""

import random
import threading
import time
from functools import partial

from rrq_producer import Producer, RedisUnavailable
from rrq_protocol import Job
from support.goals.report import Report
from support.goals.site import Site, site

__all__ = ["restarts"]


def restarts(report: Report, rng: random.Random, count: int) -> None:
    """G8: SIGKILL to Redis with an append-only file, and a start soon after, at the default lease."""
    accepted: list[str] = []
    over = threading.Event()
    with site(rng) as place:

        def produce() -> None:
            with Producer(place.stage.server.url, timeout_seconds=2.0) as producer:
                number = 0
                while not over.wait(0.02):
                    number += 1
                    while not over.is_set():
                        try:
                            accepted.append(producer.enqueue_job(Job("quick", job_id=f"p{number}")).id)
                        except RedisUnavailable:
                            continue
                        break

        thread = threading.Thread(target=produce, daemon=True)
        thread.start()
        back_s = []
        for _ in range(count):
            place.stage.wait(lambda: False, rng.uniform(1.0, 2.0))
            place.stage.server.kill()
            place.stage.wait(lambda: False, rng.uniform(0.1, 1.0))
            place.stage.server.start()
            at = time.monotonic()
            place.wait("a job to start", partial(_started, place, at))
            starts = [each[-1].start.at for each in place.seen().values()]
            back_s.append(min(start for start in starts if start > at) - at)
        over.set()
        thread.join()
        place.wait("all jobs to end", lambda: place.ended(accepted))
        seen = place.seen()
        lost = sum(job_id not in seen for job_id in accepted)
        fenced, again = place.told("orchestrator.fenced"), sum(len(each) > 1 for each in seen.values())
    report.times("G8", "Redis back, next job started", back_s, 2.0)
    text = f"{len(accepted)} jobs accepted over {count} restarts, {lost} lost, {again} run twice"
    text = f"{text}, {fenced} orchestrators declared dead"
    report.demand("G8", text, met=not (lost or fenced))


def _started(place: Site, at: float) -> bool:
    return any(each[-1].start.at > at for each in place.seen().values())
