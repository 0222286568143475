"""`rrq job why` beside real orchestrators and runners: each reason why a job does not run is told."""

import signal
from typing import Any

from rrq_protocol import JobStatus
from support.cli import World
from support.road import Road
from support.waiting import eventually

SETTINGS: dict[str, Any] = {
    "lease_seconds": 1.5,
    "lease_beat_seconds": 0.3,
    # Delays are drawn between 0 and that: none is so short that a test could not see it.
    "base_retry_delay_seconds": 30_000_000.0,
    "max_retry_delay_seconds": 30_000_000.0,
    "unknown_handler_policy": "retry",
    "worker_concurrency": 2,
    "worker_shutdown_grace_period_seconds": 120.0,
}
RUNNERS: dict[str, Any] = {
    "python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 1},
    "wide": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 4},
    "bad": {"app": "nowhere:settings", "pool_size": 1},
}


class Asker:
    """Asks until a reason is told. The exit code says whether somebody has to do something."""

    def __init__(self, road: Road) -> None:
        self.world = World(road.url, road.client, road.keyspace, road.folder)

    def why(self, job_id: str, reason: str) -> dict[str, Any]:
        """Return the answer with this reason."""

        def ask() -> dict[str, Any]:
            answer = self.world.rrq("job", "why", job_id, "--json")
            found: dict[str, Any] = answer.json
            assert answer.code == (1 if found["stuck"] else 0), answer
            seen.append(found["text"])
            return found if found["reason"] == reason else {}

        seen: list[str] = []
        return eventually(ask, f"{reason} after {seen}")

    def text(self, job_id: str, reason: str) -> str:
        """Return the sentence of it."""
        text: str = self.why(job_id, reason)["text"]
        return text


def test_each_reason(road: Road) -> None:
    """What keeps a job is told, while it does."""
    enqueue, keys = road.producer.enqueue, road.keyspace
    road.configure(RUNNERS, **SETTINGS)
    asker = Asker(road)
    early = enqueue("work").id
    assert asker.why(early, "no_orchestrator")["advice"] == "rrq worker run"
    # An orchestrator of the public line that has just taken the job.
    road.client.set(keys.lock_job("locked"), "rrq_worker_7_abc", px=600_000)
    with road.start() as daemon:
        # One of the three does not come up.
        eventually(lambda: len(daemon.named("runner.started")) == 2, "two runner processes to be ready")
        _waiting(road, asker)
        held = enqueue("hold", {"gate": "gate"}).id
        road.seen(1, held)
        assert "it runs for" in asker.text(held, "running")
        behind = enqueue("work").id
        text = "runner python is full: its slot holds a job; 1 job of its queue is due before it"
        assert asker.text(behind, "runner_full") == text
        wide = enqueue("wide#hold", {"gate": "gate"}).id
        road.seen(1, wide)
        other = enqueue("wide#work").id
        text = (
            "its orchestrator runs as many jobs as worker_concurrency allows, 2; 2 jobs of its queue are due"
        )
        assert asker.text(other, "limited").startswith(text)
        bad = enqueue("bad#work").id
        text = asker.text(bad, "runner_broken")
        assert text.startswith(
            "runner bad is broken: its processes do not start; the last one: exited with code 78"
        )
        assert "nowhere" in text
        daemon.kill(signal.SIGTERM)
        assert asker.why(behind, "stopping")["advice"] == "rrq worker run"
        daemon.kill(signal.SIGKILL)
        daemon.code()
        gone = asker.why(held, "recovering")
        assert "lives no more, and none is there to take it back" in gone["text"]
    road.client.delete(keys.lock_job("locked"))
    road.open()
    road.configure({name: RUNNERS[name] for name in ("python", "wide")}, **SETTINGS)
    with road.running():
        ended = [road.result(each) for each in (early, held, behind, wide, other, "locked")]
    assert {each.status for each in ended} == {JobStatus.COMPLETED}


def _waiting(road: Road, asker: Asker) -> None:
    """What keeps a job from starting though there is a free slot."""
    enqueue = road.producer.enqueue
    paused = enqueue("work", queue_name="media").id
    assert asker.why(paused, "not_served")["advice"] == "rrq worker run --queue media"
    assert asker.world.rrq("queue", "pause", "media").code == 0
    told = asker.why(paused, "paused")
    assert (told["text"], told["advice"]) == (
        "queue media is paused",
        "rrq queue resume media",
    )
    assert "it is due in 59m" in asker.text(enqueue("work", defer_by=3599).id, "later")
    assert "no handler named 'nobody'" in asker.text(enqueue("nobody").id, "unknown_handler")
    text = asker.text(enqueue("rust#resize").id, "unknown_handler")
    assert "no runner named 'rust' is configured here" in text
    locked = enqueue("work", job_id="locked").id
    text = asker.text(locked, "locked")
    assert "locked by rrq_worker_7_abc, an orchestrator of another implementation" in text
    assert "the lock ends in 9m" in text
