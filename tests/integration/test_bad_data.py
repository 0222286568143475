"""Records mangled in Redis by hand, and garbage between orchestrator and runner, in both directions: the
culprit is told and set aside, its neighbours complete (RELIABILITY.md F40, F62 to F71, F83, F84).
"""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rrq_producer import EnqueuedJob
from rrq_protocol import Job, JobStatus, MalformedRecord
from support import junk_runner
from support.road import Road
from support.waiting import eventually

# Changes to the hash of a job that waits, and what its error says then.
MANGLED: dict[str, tuple[dict[str, str | None], str]] = {
    "params are no JSON": ({"job_params": '{"number": '}, "job_params"),
    "params are a list": ({"job_params": "[1, 2]"}, "job_params"),
    "params are gone": ({"job_params": None}, "job_params"),
    "function is gone": ({"function_name": None}, "function_name"),
    "function is empty": ({"function_name": ""}, "function_name"),
    "status is unknown": ({"status": "LOST"}, "status"),
    "status is gone": ({"status": None}, "status"),
    "timeout is a word": ({"job_timeout_seconds": "soon"}, "job_timeout_seconds"),
    "timeout is negative": ({"job_timeout_seconds": "-1"}, "job_timeout_seconds"),
    "attempts are a word": ({"max_retries": "many"}, "max_retries"),
    "token is a word": ({"claim_seq": "x"}, "claim_seq"),
    "time is none": ({"enqueue_time": "yesterday"}, "enqueue_time"),
}


def _neighbours(road: Road, prefix: str = "") -> list[EnqueuedJob]:
    return road.producer.enqueue_many(Job(f"{prefix}work", {"number": 1}) for _ in range(10))


def test_mangled_records_are_set_aside_with_the_reason(road: Road) -> None:
    """Each is dead-lettered without being run, its error names the field, its other fields are kept; their
    neighbours, queued before and after, complete. Every command can show them.
    """
    before = _neighbours(road)
    jobs = {
        name: road.producer.enqueue("work", {"number": 1}, job_id=f"mangled-{n}")
        for n, name in enumerate(MANGLED)
    }
    after = _neighbours(road)
    for name, (changes, _) in MANGLED.items():
        key = road.keyspace.job(jobs[name].id)
        for field, value in changes.items():
            road.client.hset(key, field, value) if value is not None else road.client.hdel(key, field)
    with road.running() as daemon:
        assert {each.result for each in road.results([*before, *after])} == {2}
        for name, (_, field) in MANGLED.items():
            _set_aside(road, jobs[name], field)
        assert not any("Traceback" in line for line in daemon.lines)
    assert sorted(road.dead()) == sorted(job.id for job in jobs.values())
    assert {each.job_id for each in road.sightings()} == {job.id for job in [*before, *after]}
    listed = road.command("rrq_cli", "dlq", "list", "--config", "rrq.toml")
    assert (listed.returncode, listed.stderr) == (0, "")
    shown = road.command("rrq_cli", "job", "show", jobs["params are no JSON"].id, "--config", "rrq.toml")
    assert shown.returncode in (0, 1)
    assert "malformed" in shown.stdout
    assert "Traceback" not in shown.stdout + shown.stderr


def _set_aside(road: Road, job: EnqueuedJob, field: str) -> None:
    key = road.keyspace.job(job.id)
    with contextlib.suppress(MalformedRecord):  # a waiter cannot read what the claim could not
        road.result(job.id)
    eventually(lambda: road.client.hget(key, "status") == b"FAILED", f"{job.id} to have failed")
    reason: Any = road.client.hget(key, "last_error")
    assert reason.decode().startswith(f"malformed: {field}")


def test_keys_that_cannot_be_used_stop_nobody(road: Road) -> None:
    """A record of the wrong type, a queue entry without a record, a record that is gone: the queue flows on,
    and the unusable id is where `rrq doctor` will look for it.
    """
    road.conserved = False
    wrong, gone = road.producer.enqueue("work"), road.producer.enqueue("work")
    road.client.delete(road.keyspace.job(wrong.id), road.keyspace.job(gone.id))
    road.client.set(road.keyspace.job(wrong.id), "not a hash")
    road.client.zadd(road.keyspace.queue("default"), {"phantom": 1, "": 2, "\x1b[2J\n": 3})
    neighbours = _neighbours(road)
    with road.running() as daemon:
        assert {each.result for each in road.results(neighbours)} == {2}
        assert not any("Traceback" in line for line in daemon.lines)
    assert road.client.zcard(road.keyspace.queue("default")) == 0
    assert road.client.lrange(road.keyspace.quarantine, 0, -1) == [wrong.id.encode()]
    assert {finding.rule for finding in road.findings()} == {"F40"}
    road.client.delete(road.keyspace.quarantine, road.keyspace.job(wrong.id))


def test_a_queue_of_the_wrong_type_stops_no_other(road: Road) -> None:
    """The other queue's jobs complete; once the key is removed by hand, the queue works again."""
    road.client.set(road.keyspace.queue("spoilt"), "not a sorted set")
    with road.running("--queue", "spoilt", "--queue", "default") as daemon:
        assert {each.result for each in road.results(_neighbours(road))} == {2}
        road.client.delete(road.keyspace.queue("spoilt"))
        again = road.producer.enqueue("work", {"number": 1}, queue_name="spoilt")
        assert road.result(again.id).result == 2
        assert not any("Traceback" in line for line in daemon.lines)


def test_a_record_mangled_while_it_runs_changes_nothing_else(road: Road) -> None:
    """Deleted, or of another type, under a running attempt: its end is told and written nowhere; neighbours
    complete.
    """
    road.conserved = False
    with road.running() as daemon:
        gone, wrong, neighbour = (road.producer.enqueue("hold", {"gate": "gate"}) for _ in range(3))
        road.seen(3)
        road.client.delete(road.keyspace.job(gone.id), road.keyspace.job(wrong.id))
        road.client.set(road.keyspace.job(wrong.id), "not a hash")
        road.open()
        assert road.result(neighbour.id).status is JobStatus.COMPLETED
        assert gone.id in daemon.wait_for("settle.gone")
        assert wrong.id in daemon.wait_for("settle.wrong_type")
    assert not road.client.exists(road.keyspace.job(gone.id))
    assert road.client.get(road.keyspace.job(wrong.id)) == b"not a hash"
    road.client.delete(road.keyspace.quarantine, road.keyspace.job(wrong.id))


def _http(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def _huge(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">I", 2**32 - 1) + b"x")


def _random(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">I", 1000) + os.urandom(1000))


def _truncated(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">I", 1000) + b'{"type":')
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_garbage_sent_to_a_runner_disturbs_no_job(road: Road, transport: str) -> None:
    """A stranger connects to a runner's socket and writes junk: the runner closes that connection or answers
    with an error, says so at most once per connection, and its jobs in flight complete uncharged.
    """
    tcp = {"tcp_port": 0} if transport == "tcp" else {}
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1, **tcp}})
    with road.running() as daemon:
        job = road.producer.enqueue("hold", {"gate": "gate"})
        (seen,) = road.seen(1)
        address = daemon.wait_for("runner.listening").split("address=")[1].split(" ")[0]
        junk: list[Callable[[socket.socket], None]] = [_http, _huge, _random, _truncated]
        for write in junk:
            with _connected(address) as connection:
                write(connection)
                _until_refused(connection)
        assert not daemon.named("runner.ended")
        road.open()
        assert road.result(job.id).result == {"pid": seen.pid}
        assert road.record(job.id).crash_count == 0
        told = [each["line"] for each in daemon.named("runner.output") if "WARNING" in each["line"]]
        assert len(told) <= len(junk), told
        assert not any("Traceback" in line for line in daemon.lines)


def _until_refused(connection: socket.socket) -> None:
    """Read until the other side hangs up, or says that it does not understand."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while b'"error"' not in heard and (data := connection.recv(65536)):
            heard += data


def _connected(address: str) -> socket.socket:
    if "/" in address:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(address)
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), 10)


# What a runner answers, and what is said about it.
JUNK = {
    "text": "bytes",
    "huge": "bytes",
    "json": "Expected `object`",
    "stranger": "somebody",
    "silent": "closed",
    "half": "closed",
}


def test_runners_that_answer_garbage_are_replaced(road: Road) -> None:
    """Their jobs are tried again, and after the crashes they are allowed end in the dead letter queue with
    what was wrong; nothing that was said is stored, and the other runner's jobs complete.
    """
    junk = {
        mode: {"cmd": [sys.executable, junk_runner.__file__, mode], "pool_size": 1, "max_in_flight": 1}
        for mode in JUNK
    }
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1}, **junk}, max_crashes=2)
    road.max_crashes = 2
    with road.running() as daemon:
        jobs = {mode: road.producer.enqueue(f"{mode}#work") for mode in JUNK}
        neighbours = _neighbours(road)
        for mode, words in JUNK.items():
            result = road.result(jobs[mode].id)
            assert result.status is JobStatus.FAILED
            assert (result.last_error or "").startswith("runner crashed 2 times while running this job")
            assert words in (result.last_error or ""), mode
            record = road.record(jobs[mode].id)
            assert (record.crash_count, record.current_retries, record.result) == (2, 0, "null")
        assert {each.result for each in road.results(neighbours)} == {2}
        assert not any("Traceback" in line for line in daemon.lines)
    assert sorted(road.dead()) == sorted(job.id for job in jobs.values())
