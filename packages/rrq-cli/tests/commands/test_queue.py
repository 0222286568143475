"""`rrq queue`, called as people call it."""

import json

import pytest

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


@pytest.mark.parametrize("score", ["inf", "1e300", "-inf", "-1e300"])
def test_due_times_that_are_none_are_told(world: World, score: str) -> None:
    """A score that is no time breaks no command: it is a problem of its queue, and JSON stays readable."""
    job_id = world.enqueue(queue_name="media")
    world.redis.execute_command("ZADD", world.keys.queue("media"), score, job_id)  # type: ignore[no-untyped-call]
    for args in (("list",), ("stats",), ("stats", "--max-scan", "0"), ("inspect", "media")):
        answer = world.rrq("queue", *args)
        assert "Traceback" not in answer.err
        assert (
            f"1 job due {'before 1970' if score.startswith('-') else 'beyond the year 9999'}" in answer.words
        )
        json.loads(world.rrq("queue", *args, "--json").out, parse_constant=pytest.fail)
    assert job_id in world.rrq("queue", "inspect", "media").out


def test_finding_nothing_without_settings_is_remarked(world: World) -> None:
    """Who is in the wrong folder sees that no settings were found, on stderr; ordinary answers are quiet."""
    dsn = world.environment.pop("RRQ_REDIS_DSN")
    file = world.folder / "rrq.toml"
    assert world.rrq("queue", "list", "--redis-dsn", dsn).err == ""
    file.write_text(f"[rrq]\nredis_dsn = '{dsn}'\n")
    assert world.rrq("queue", "list").err == ""
    assert "rrq --prefix p queue list --show-empty" in world.rrq("queue", "list", "--prefix", "p").words


def test_lists_of_names_of_the_wrong_type_are_told(world: World) -> None:
    """Where the list of queues is something else, that is said, for queues may be missing from the answer."""
    world.enqueue()
    world.redis.delete(world.keys.queues)
    world.redis.set(world.keys.queues, "x")
    for args in (("queue", "list"), ("queue", "stats"), ("dlq", "list"), ("job", "list")):
        answer = world.rrq(*args)
        assert answer.code == 0
        assert answer.err == f"rrq: {world.keys.queues}: the key has the wrong type; expected a set\n"


def test_pause_and_resume(world: World) -> None:
    """A paused queue hands out nothing, says so in the list, and goes on at the resume."""
    world.enqueue()
    assert world.rrq("queue", "pause", "default").out == "queue default is paused now; 1 job waits in it\n"
    assert world.claim() == ()
    assert "paused" in world.rrq("queue", "list").out
    again = world.rrq("queue", "pause", "default", "--json")
    assert (again.code, again.json) == (0, {"name": "default", "result": "already", "waiting": 1})
    assert world.rrq("queue", "resume", "default", "--json").json["result"] == "resumed"
    assert len(world.claim()) == 1
    assert world.rrq("queue", "resume", "default").out == "queue default was open before; 0 jobs wait in it\n"


def test_purge(world: World) -> None:
    """Nothing goes without a yes; a dry run counts; then waiting jobs are gone, the running one is not."""
    running = world.enqueue()
    world.claim()
    for _ in range(3):
        world.enqueue(defer_by=60)
    refused = world.rrq("queue", "purge", "default")
    assert (refused.code, refused.out) == (2, "")
    assert "this would delete 3 waiting jobs of queue default" in refused.err
    assert world.rrq("queue", "purge", "default", "--json").code == 2
    assert world.rrq("queue", "purge", "default", "--dry-run").out == "3 jobs would be deleted\n"
    assert world.rrq("queue", "purge", "default", "--yes").out == "3 jobs deleted\n"
    assert world.redis.hget(world.keys.job(running), "status") == b"ACTIVE"
    empty = world.rrq("queue", "purge", "default", "--json").json
    assert empty == {"dry_run": False, "ids": [], "results": {}, "problem": None}


def test_an_unknown_queue_is_told(world: World) -> None:
    """A slip in a name leads to the right one; what would act on nothing, or show nothing, ends with 1."""
    world.enqueue(queue_name="media")
    hint = "rrq: no queue medai is known; did you mean media?\n"
    for args in (("inspect", "medai"), ("purge", "medai", "--yes")):
        answer = world.rrq("queue", *args)
        assert (answer.code, answer.out, answer.err) == (1, "", hint)
    answer = world.rrq("queue", "stats", "--queue", "medai")
    assert (answer.code, answer.err) == (0, hint)


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_queue_that_nobody_knows_is_held_by_force_only(world: World, verb: str) -> None:
    """A slip in a name holds nothing: the answer names the queue that was meant, and what holds a new one."""
    world.enqueue(queue_name="media")
    known = world.redis.keys(f"{world.keys.prefix}*")
    for words in ((), ("--json",)):
        answer = world.rrq("queue", verb, "medai", *words)
        assert (answer.code, bool(answer.out)) == (1, "--json" in words)
        assert " ".join(answer.err.split()) == (
            "rrq: no queue medai is known; did you mean media? Nothing was done; if the name is right: "
            f"rrq queue {verb} --force medai"
        )
    assert world.redis.keys(f"{world.keys.prefix}*") == known
    answer = world.rrq("queue", verb, "medai", "--force")
    said = "is paused now" if verb == "pause" else "was open before"
    assert (answer.code, answer.out) == (0, f"queue medai {said}; 0 jobs wait in it\n")


def test_a_queue_that_is_paused_is_known(world: World) -> None:
    """Paused before its first job, a queue stands in the list and takes its resume without force."""
    assert world.rrq("queue", "pause", "new", "--force").code == 0
    assert "new" in world.rrq("queue", "list").out
    answer = world.rrq("queue", "resume", "new")
    assert (answer.code, answer.out, answer.err) == (0, "queue new is open now; 0 jobs wait in it\n", "")


def test_a_scan_has_a_number_or_none(world: World) -> None:
    """`--max-scan` alone looks at 1,000 keys and says so; with 0 it looks at all."""
    world.completed()
    for words in (
        ("--max-scan",),
        ("--max-scan", "--queue", "default"),
        ("--queue", "default", "--max-scan"),
    ):
        answer = world.rrq("queue", "stats", *words)
        assert (answer.code, answer.err) == (0, "")
        assert "scanning 1,000 keys at most; all: --max-scan 0" in answer.words
    answer = world.rrq("queue", "stats", "--max-scan", "0")
    assert ("Records found by scanning" in answer.words, "at most" in answer.words) == (True, False)
    assert world.rrq("queue", "stats", "--max-scan", "--json").json["queues"][0]["scanned"] == {
        "COMPLETED": 1
    }
    found = world.rrq("queue", "stats", "--max-scan", "0", "--json").json
    assert (found["looked_at"], found["complete"]) == (1, True)
    assert world.rrq("queue", "stats", "--json").json["complete"] is None
    assert world.rrq("queue", "stats", "--max-scan", "x").code == 2


def test_stats_tell_of_a_day(world: World) -> None:
    """Throughput is given for a minute, an hour and a day; a watch needs a terminal and is no JSON."""
    world.completed()
    (default,) = world.rrq("queue", "stats", "--json").json["queues"]
    assert (len(default["completed_per_hour"]), sum(default["completed_per_hour"])) == (24, 1)
    assert default["per_second_1m"] > default["per_second_1h"] > default["per_second_24h"] > 0
    assert "Throughput" in world.rrq("queue", "stats").out
    answer = world.rrq("queue", "stats", "--watch")
    assert (answer.code, answer.err) == (2, "rrq: queue stats --watch needs a terminal\n")
    assert world.rrq("queue", "stats", "--watch", "--json").code == 2


def test_a_queue_that_an_orchestrator_serves_is_known(world: World) -> None:
    """A queue in no settings and not used yet is known when an orchestrator reports that it serves it."""
    world.register(queues=["q2"])
    answer = world.rrq("queue", "pause", "q2")
    assert (answer.code, answer.err) == (0, "")
    assert "q2" in world.rrq("queue", "list", "--show-empty").out
