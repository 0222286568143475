"""`rrq dlq`, called as people call it."""

from datetime import UTC, datetime

import pytest

from support.cli import HOSTILE, World


def test_list(world: World) -> None:
    """Dead letters of all queues, newest first, filtered and paged."""
    first = world.dead("first", queue_name="media")
    second = world.dead("second", dlq_name="other")
    answer = world.rrq("dlq", "list")
    assert answer.code == 0
    assert first in answer.out
    assert second in answer.out
    by_queue = world.rrq("dlq", "list", "--queue", "media", "--json").json
    assert [(job["id"], job["last_error"]) for job in by_queue["jobs"]] == [(first, "first")]
    assert by_queue["total"] == 2
    chosen = world.rrq("dlq", "list", "--dlq-name", "other", "--batch-size", "1", "--json").json
    assert [job["id"] for job in chosen["jobs"]] == [second]


def test_a_broken_queue_is_told(world: World) -> None:
    """A dead letter queue whose key is no list is told on stderr, the others are listed."""
    job_id = world.dead()
    world.redis.set(world.keys.dlq("odd"), "x")
    world.redis.sadd(world.keys.dlqs, "odd")
    answer = world.rrq("dlq", "list")
    assert (answer.code, job_id in answer.out) == (0, True)
    assert "expected a list" in answer.err


def test_raw(world: World) -> None:
    """`--raw` gives the stored bytes of each to a pipe."""
    world.dead(HOSTILE)
    assert f"last_error: {HOSTILE}\n" in world.process("dlq", "list", "--raw").out


def test_inspect(world: World) -> None:
    """One dead letter whole; a job that is none is refused with where to look."""
    job_id, done = world.dead("boom"), world.completed()
    answer = world.rrq("dlq", "inspect", job_id)
    assert (answer.code, "boom" in answer.out) == (0, True)
    answer = world.rrq("dlq", "inspect", done)
    assert answer.code == 1
    assert "its status is COMPLETED" in answer.err
    assert "status: FAILED\n" in world.process("dlq", "inspect", job_id, "--raw").out


def test_stats(world: World) -> None:
    """Like failures are grouped."""
    for name in "abc":
        world.dead(f"KeyError: '{name}'")
    found = world.rrq("dlq", "stats", "--json").json
    assert [(group["count"], group["error"]) for group in found["groups"]] == [(3, "KeyError: …")]
    assert "3 dead letters  in 1 group" in world.rrq("dlq", "stats").out


def test_requeue_needs_to_know_how_many(world: World) -> None:
    """Without saying how many nothing is moved, and contradictions are refused."""
    world.dead()
    assert world.rrq("dlq", "requeue").code == 2
    assert world.rrq("dlq", "requeue", "--all", "--limit", "1").code == 2
    assert world.redis.llen(world.keys.dlq("default")) == 1


def test_requeue(world: World) -> None:
    """A dry run shows which; then they are moved, one by id and to another queue where asked."""
    first, second = world.dead(), world.dead()
    answer = world.rrq("dlq", "requeue", "--all", "--dry-run", "--json")
    assert answer.json == {"dry_run": True, "ids": [second, first], "results": {}}
    answer = world.rrq("dlq", "requeue", "--job-id", first, "--target-queue", "retry")
    assert (answer.code, answer.out) == (0, "1 job requeued\n")
    assert world.redis.zrange(world.keys.queue("retry"), 0, -1) == [first.encode()]
    assert world.rrq("dlq", "requeue", "--queue", "default", "--limit", "5").code == 0
    answer = world.rrq("dlq", "requeue", "--all")
    assert (answer.code, "no dead letter fits" in answer.err) == (1, True)
    assert "in none of the dead letter queues" in world.rrq("dlq", "requeue", "--job-id", first).err


@pytest.mark.parametrize(
    ("words", "done"), [(["requeue"], "1 job requeued"), (["purge", "--yes"], "1 job deleted")]
)
def test_entries_that_are_left_in_the_list_are_told(world: World, words: list[str], done: str) -> None:
    """The code is 1 where some stay in the list that were meant, whatever was done to the others."""
    world.dead()
    world.redis.lpush(world.keys.dlq("default"), b"\xff")
    answer = world.rrq("dlq", *words, "--all")
    assert (answer.code, answer.out.splitlines()[0]) == (1, done)
    assert "still in the list" in answer.out
    assert world.rrq("dlq", *words, "--all", "--json").json["results"] == {"moved": 1}


def test_requeue_in_small_batches(world: World) -> None:
    """The batch size changes how, not what: oldest first, all of them."""
    dead = [world.dead() for _ in range(5)]
    answer = world.rrq("dlq", "requeue", "--all", "--batch-size", "2", "--json")
    assert answer.json == {"dry_run": False, "ids": dead[::-1], "results": {"ok": 5}}
    queued = world.redis.zrange(world.keys.queue("default"), 0, -1)
    assert queued == [each.encode() for each in dead]


def test_purge(world: World) -> None:
    """Nothing goes without saying how many, and yes; then the entries and their records are gone."""
    first, second, other = world.dead(), world.dead(), world.dead(queue_name="media")
    assert world.rrq("dlq", "purge", "--yes").code == 2
    assert world.rrq("dlq", "purge", "--all", "--limit", "1").code == 2
    refused = world.rrq("dlq", "purge", "--all", "--queue", "media")
    assert (refused.code, "this would delete 1 dead letter" in refused.err) == (2, True)
    assert world.rrq("dlq", "purge", "--limit", "1", "--dry-run", "--json").json["ids"] == [other]
    assert world.redis.llen(world.keys.dlq("default")) == 3
    done = world.rrq("dlq", "purge", "--all", "--queue", "media", "--yes", "--json").json
    assert done == {"dry_run": False, "ids": [other], "results": {"ok": 1}, "problem": None}
    assert world.rrq("dlq", "purge", "--job-id", first, "--yes").out == "1 job deleted\n"
    assert world.redis.lrange(world.keys.dlq("default"), 0, -1) == [second.encode()]
    assert world.redis.exists(world.keys.job(first), world.keys.job(other)) == 0
    answer = world.rrq("dlq", "purge", "--job-id", first, "--yes")
    assert (answer.code, "in none of the dead letter queues" in answer.err) == (1, True)


def test_filters_by_time_and_error(world: World) -> None:
    """`--since` and `--until` take how long ago or a time, `--error` any part of the error."""
    old, new = world.dead("Disk full"), world.dead("no answer")
    world.redis.hset(world.keys.job(old), "completion_time", "2026-01-01T00:00:00Z")
    world.redis.hset(world.keys.job(new), "completion_time", datetime.now(UTC).isoformat())

    def found(*words: str) -> list[str]:
        return [job["id"] for job in world.rrq("dlq", "list", *words, "--json").json["jobs"]]

    assert found("--since", "1h") == found("--since", "2026-01-01T00:00:01Z") == [new]
    assert found("--until", "1h") == found("--until", "2026-01-01T01:00:00+01:00") == [old]
    assert found("--error", "DISK") == [old]
    assert found("--error", "disk", "--since", "1h") == []
    for wrong in ("yesterday", "2026-01-01T00:00:00", ""):
        answer = world.rrq("dlq", "list", "--since", wrong)
        assert (answer.code, "expected how long ago" in answer.err) == (2, True)


def test_groups_of_one_queue_or_function(world: World) -> None:
    """`dlq stats` takes the filters of the list."""
    world.dead("boom", queue_name="media")
    world.dead("boom", function="other")
    for words in (("--queue", "media"), ("--function", "other")):
        groups = world.rrq("dlq", "stats", *words, "--json").json["groups"]
        assert [group["count"] for group in groups] == [1]


def test_an_unknown_dead_letter_queue_is_told(world: World) -> None:
    """A slip in the name of a dead letter queue is not taken for an empty one."""
    world.dead(dlq_name="mails")
    hint = "no dead letter queue mial is known; did you mean mails?"
    for words in (("list",), ("stats",), ("requeue", "--all"), ("purge", "--all", "--yes")):
        answer = world.rrq("dlq", *words, "--dlq-name", "mial")
        assert (answer.code, hint in answer.err) == (int("--all" in words), True)
    world.redis.lpush(world.keys.dlq("foreign"), world.enqueue())
    assert "is known" not in world.rrq("dlq", "list", "--dlq-name", "foreign").err


def test_counts_of_what_fits(world: World) -> None:
    """What fits is not called all there is, nor an answer without any an empty queue."""
    for error in ("boom", "boom", "other"):
        world.dead(error)
    assert "2 of 3 dead letters fit\n" in world.rrq("dlq", "list", "--error", "boom").out
    assert "1 that fit, " in world.rrq("dlq", "list", "--error", "boom", "--limit", "1").out
    assert "2 dead letters  in" in world.rrq("dlq", "stats", "--max-scan", "2").out
    for words in (("list", "--queue", "nope"), ("stats", "--queue", "nope"), ("stats", "--function", "nope")):
        assert world.rrq("dlq", *words).out == "None of the 3 dead letters fits.\n", words
    for what in ("list", "stats"):
        assert world.rrq("dlq", what, "--dlq-name", "nope").out == "Dead letter queue nope is empty.\n"
