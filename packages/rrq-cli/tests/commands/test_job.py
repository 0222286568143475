"""`rrq job`, called as people call it."""

import json

import pytest

from support.cli import HOSTILE, World


def test_show(world: World) -> None:
    """One job whole, for people and for programs."""
    job_id = world.completed("f", {"n": 1}, params={"x": 2})
    answer = world.rrq("job", "show", job_id)
    assert answer.code == 0
    assert "COMPLETED" in answer.out
    found = world.rrq("job", "show", job_id, "--json").json
    assert (found["params"], found["result"], found["problem"]) == ({"x": 2}, {"n": 1}, None)


@pytest.mark.parametrize("command", ["show", "trace", "cancel"])
def test_a_missing_job_is_1(world: World, command: str) -> None:
    """A job that is not there is a failure with one line on stderr."""
    answer = world.rrq("job", command, "gone")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("rrq: ")
    assert "gone" in answer.err


def test_broken_records_are_shown_with_what_is_wrong(world: World) -> None:
    """A malformed hash is shown field by field and is a finding; a key of another type is told."""
    world.hash("odd", id="odd", status="NEW", function_name=HOSTILE)
    answer = world.rrq("job", "show", "odd")
    assert answer.code == 1
    assert "! malformed job_params: missing" in answer.out
    assert not answer.controls
    answer = world.rrq("job", "trace", "odd")
    assert (answer.code, "malformed" in answer.err) == (1, True)
    world.redis.set(world.keys.job("text"), "x")
    assert "expected a hash" in world.rrq("job", "show", "text").err


def test_raw_is_byte_for_byte_in_a_pipe(world: World) -> None:
    """`--raw` gives the stored bytes to a pipe."""
    world.hash("odd", id="odd", last_error=HOSTILE)
    answer = world.process("job", "show", "odd", "--raw")
    assert answer.out == f"id: odd\nlast_error: {HOSTILE}\n"
    assert world.rrq("job", "show", "odd", "--raw", "--json").json == {"id": "odd", "last_error": HOSTILE}


def test_hostile_text_is_harmless_everywhere(world: World) -> None:
    """No command prints a control character from data, as a table or as JSON."""
    job_id = world.dead(HOSTILE, params={HOSTILE: HOSTILE})
    world.redis.hset(world.keys.job(job_id), "function_name", HOSTILE)
    for args in (
        ("job", "show", job_id),
        ("job", "trace", job_id),
        ("job", "list"),
        ("dlq", "list"),
        ("dlq", "stats"),
    ):
        for more in ((), ("--json",)):
            answer = world.rrq(*args, *more)
            assert answer.out
            assert not answer.controls, args
    assert world.rrq("job", "show", job_id, "--json").json["function_name"] == HOSTILE


def test_list(world: World) -> None:
    """Filters apply; what no index leads to needs a scan, which is said."""
    done, waiting = world.completed(), world.enqueue("f", queue_name="media")
    assert [job["id"] for job in world.rrq("job", "list", "--json").json["jobs"]] == [waiting]
    answer = world.rrq("job", "list", "--status", "completed")
    assert answer.code == 0
    assert "--scan" in answer.err
    found = world.rrq("job", "list", "--status", "completed", "--scan", "--json").json
    assert [job["id"] for job in found["jobs"]] == [done]
    assert "among the" in world.rrq("job", "list", "--function", "none").out


def test_one_bad_record_hides_no_other(world: World) -> None:
    """A broken entry is listed as such between the good ones."""
    job_id = world.enqueue()
    world.redis.set(world.keys.job("text"), "x")
    world.queued("text")
    answer = world.rrq("job", "list")
    assert answer.code == 0
    assert job_id in answer.out
    assert "! text: the key has the wrong type; expected a hash" in answer.out


def test_trace(world: World) -> None:
    """The life of a dead letter ends with its failure."""
    job_id = world.dead("ValueError: boom")
    answer = world.rrq("job", "trace", job_id)
    assert answer.code == 0
    assert "attempt 1 failed for good" in answer.out
    assert "ValueError: boom" in answer.out
    events = world.rrq("job", "trace", job_id, "--json").json["events"]
    assert [event["what"] for event in events] == ["enqueued", "started", "failed"]


def test_cancel(world: World) -> None:
    """A waiting job is cancelled at once, a running one is asked, an ended one is left alone."""
    waiting, done = world.enqueue(queue_name="other"), world.completed()
    running = world.enqueue()
    world.claim()
    assert world.rrq("job", "cancel", waiting).code == 0
    assert world.redis.hget(world.keys.job(waiting), "status") == b"CANCELLED"
    assert "was asked to cancel" in world.rrq("job", "cancel", running).words
    assert world.redis.hexists(world.keys.job(running), "cancel_requested_at")
    answer = world.rrq("job", "cancel", done, "--json")
    assert (answer.code, json.loads(answer.out)) == (1, {"id": done, "result": "finished"})
    assert world.rrq("job", "cancel", waiting).code == 1


def test_attempts_count_the_one_that_completed(world: World) -> None:
    """A job that completed at once was tried once, one that runs is being tried, one that waits was not."""
    done, waiting = world.completed(), world.enqueue(queue_name="later")
    running = world.enqueue()
    world.claim()
    rows = {row["id"]: row for row in world.rrq("job", "list", "--scan", "--json").json["jobs"]}
    assert [rows[each]["attempts"] for each in (done, running, waiting)] == [1, 1, 0]
    assert "attempts 1 of 3" in world.rrq("job", "show", done).words
    assert "1/3" in world.rrq("job", "list", "--status", "active").out


def test_hints_have_the_options(world: World) -> None:
    """Commands in messages lead to the same keys."""
    world.hash("odd", id="odd", status="NEW", function_name="f")
    prefix = world.environment.pop("RRQ_KEY_PREFIX")
    answer = world.rrq("job", "trace", "odd", "--prefix", prefix)
    assert (
        f"job odd: malformed job_params: missing; what can be read of it: rrq --prefix {prefix}" in answer.err
    )
