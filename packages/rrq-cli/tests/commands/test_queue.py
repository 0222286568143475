"""`rrq queue`, called as people call it."""

from support.cli import World


def test_list(world: World) -> None:
    """Queues with jobs are listed, all of them when asked; JSON has the documented shape."""
    world.enqueue(queue_name="media")
    world.enqueue(queue_name="media", defer_by=60)
    answer = world.rrq("queue", "list")
    assert answer.code == 0
    assert [line.split() for line in answer.out.splitlines()[2:]] == [["media", "2", "1", "1"]]
    found = world.rrq("queue", "list", "--show-empty", "--json").json
    assert found == {
        "queues": [
            {"name": "default", "ready": 0, "later": 0, "paused": False, "problem": None},
            {"name": "media", "ready": 1, "later": 1, "paused": False, "problem": None},
        ]
    }


def test_a_queue_of_the_wrong_type_is_shown(world: World) -> None:
    """A broken key is listed with what is wrong, and the others are listed too."""
    world.enqueue()
    world.redis.set(world.keys.queue("odd"), "x")
    world.redis.sadd(world.keys.queues, "odd")
    answer = world.rrq("queue", "list")
    assert answer.code == 0
    assert "! odd: the key has the wrong type; expected a sorted set" in answer.out
    assert "default" in answer.out


def test_foreign_queues_need_a_scan(world: World) -> None:
    """A queue that nobody registered is found by a scan only."""
    world.redis.zadd(world.keys.queue("foreign"), {"x": 1})
    assert "foreign" not in world.rrq("queue", "list").out
    assert "foreign" in world.rrq("queue", "list", "--scan", "0").out


def test_stats(world: World) -> None:
    """Chosen queues, or all; with a scan also counts by status."""
    world.completed()
    world.dead(queue_name="media")
    answer = world.rrq("queue", "stats", "--queue", "default")
    assert (answer.code, "media" in answer.out) == (0, False)
    found = world.rrq("queue", "stats", "--json", "--max-scan", "0").json
    assert found["at"].endswith("Z")
    default, media = found["queues"]
    assert (default["totals"]["completed"], media["totals"]["failed"]) == (1, 1)
    assert media["scanned"] == {"FAILED": 1}
    assert len(default["completed_per_minute"]) == 60


def test_inspect(world: World) -> None:
    """The jobs of a queue in order, with what is wrong where a record is broken."""
    world.queued("ghost")
    job_id = world.enqueue()
    answer = world.rrq("queue", "inspect", "default")
    assert answer.code == 0
    assert answer.out.index("ghost") < answer.out.index(job_id)
    assert "! ghost: there is no record" in answer.out
    found = world.rrq("--json", "queue", "inspect", "default", "--limit", "1", "--offset", "1").json
    assert [job["id"] for job in found["jobs"]] == [job_id]


def test_inspecting_a_broken_queue_is_a_finding(world: World) -> None:
    """A queue whose key is something else ends with 1 and says so."""
    world.redis.set(world.keys.queue("odd"), "x")
    answer = world.rrq("queue", "inspect", "odd")
    assert answer.code == 1
    assert "wrong type" in answer.out
