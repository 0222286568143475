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
    assert "completed jobs are in no index; --scan reads every record" in answer.words
    answer = world.rrq("job", "list", "--status", "completed", "--json")
    assert (answer.json["complete"], "--scan" in answer.err) == (False, True)
    found = world.rrq("job", "list", "--status", "completed", "--scan", "--json").json
    assert ([job["id"] for job in found["jobs"]], found["complete"]) == ([done], True)
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


def test_wait(world: World) -> None:
    """Exit code 0 for a job that completed, 1 for any other end and for a wait that was too short."""
    done = world.completed(result=7)
    assert world.rrq("job", "wait", done).out == "COMPLETED\n7\n"
    dead = world.dead("boom")
    assert world.rrq("job", "wait", dead).code == 1
    answer = world.rrq("job", "wait", world.enqueue(), "--timeout", "0", "--json")
    assert (answer.code, answer.json["timed_out"], answer.json["status"]) == (1, True, "PENDING")
    assert world.rrq("job", "wait", "gone").code == 1
    assert world.rrq("job", "wait", done, "--timeout", "soon").code == 2


def test_replay(world: World) -> None:
    """A new job of the same content, in the same queue or another; the old record stays."""
    old = world.dead(params={"x": 1}, queue_name="media")
    new = world.rrq("job", "replay", old, "--json").json
    assert (new["queue_name"], new["created"], new["id"] != old) == ("media", True, True)
    assert world.redis.hget(world.keys.job(new["id"]), "job_params") == b'{"x":1}'
    assert world.redis.hget(world.keys.job(old), "status") == b"FAILED"
    assert "enqueued in queue other" in world.rrq("job", "replay", old, "--queue", "other").out
    answer = world.rrq("job", "replay", new["id"])
    assert (answer.code, "has not ended" in answer.err) == (1, True)


def test_why(world: World) -> None:
    """What keeps a job, with a command that is whole; 1 where somebody has to do something."""
    job_id = world.enqueue(queue_name="media")
    answer = world.rrq("job", "why", job_id)
    assert (answer.code, answer.out) == (1, "PENDING  no orchestrator lives\nrrq worker run\n")
    world.rrq("queue", "pause", "media")
    found = world.rrq("job", "why", job_id, "--json")
    assert found.code == 1
    assert found.json == {
        "id": job_id, "status": "PENDING", "reason": "paused", "text": "queue media is paused", "stuck": True,
        "advice": "rrq queue resume media",
    }  # fmt: skip
    later = world.enqueue(defer_by=3600)
    answer = world.rrq("job", "why", later)
    assert (answer.code, "it is due in 59m" in answer.out or "it is due in 1h 0m" in answer.out) == (0, True)


def test_trace_of_a_running_job(world: World) -> None:
    """Where the running attempt is: orchestrator and runner."""
    job_id = world.enqueue()
    world.claim()
    assert "on worker-1, runner python" in world.rrq("job", "trace", job_id).words
    events = world.rrq("job", "trace", job_id, "--json").json["events"]
    assert (events[-1]["worker"], events[-1]["runner"]) == ("worker-1", "python")


def test_an_id_that_looks_like_an_option(world: World) -> None:
    """The message says how such an id is given, and that works; it is not added to other mistakes."""
    world.hash("-abc", id="-abc", status="NEW", function_name="f")
    answer = world.rrq("job", "show", "-abc")
    assert answer.code == 2
    assert answer.err.endswith("no option comes after --, as in: rrq job show -- -abc\n")
    assert "malformed" in world.rrq("job", "show", "--", "-abc").out
    assert "rrq job show -- -abc" in world.rrq("job", "trace", "--", "-abc").err
    assert "after --" not in world.rrq("job", "show", "--nope").err
    assert "after --" not in world.rrq("queue", "list", "-x").err


def test_a_list_where_all_jobs_have_completed(world: World) -> None:
    """Nothing runs or waits; that completed ones are found by --scan is told, and so they are."""
    job_id = world.completed()
    answer = world.rrq("job", "list")
    assert answer.code == 0
    assert answer.words.startswith("no such job")
    assert "completed and cancelled jobs are in no index; --scan reads every record" in answer.words
    answer = world.rrq("job", "list", "--scan", "--json")
    assert ([job["id"] for job in answer.json["jobs"]], answer.err) == ([job_id], "")


def test_a_list_without_any_job(world: World) -> None:
    """Where there is none at all, that is said and nothing else."""
    for words in ((), ("--status", "completed"), ("--scan",)):
        answer = world.rrq("job", "list", *words)
        assert (answer.code, answer.out, answer.err) == (0, "there are no jobs\n", "")
        assert world.rrq("job", "list", *words, "--json").json["complete"]


def test_a_list_of_an_unknown_queue(world: World) -> None:
    """An empty answer for a name that nobody knows comes with the one that was meant."""
    world.enqueue(queue_name="media")
    for args in (("job", "list"), ("dlq", "list"), ("dlq", "requeue", "--all")):
        answer = world.rrq(*args, "--queue", "medai")
        assert "rrq: no queue medai is known; did you mean media?\n" in answer.err, args
    assert world.rrq("job", "list", "--queue", "media").err == ""
