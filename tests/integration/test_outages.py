"""A Redis that is not there, is the wrong one, or does not accept us: the process says so, once, with what to
do; it stays, or ends with the code for it, and a stop never waits for Redis longer than there is reason to
(RELIABILITY.md 6.8, F26, F30, F37).
"""

import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from rrq_protocol import JobStatus
from support.processes import Command, wait_until_gone
from support.redis_servers import RedisServer, free_port
from support.road import Road

GRACE: dict[str, Any] = {"worker_shutdown_grace_period_seconds": 0.5}
REDIS_EVENTS = ("redis.lost", "redis.still_lost", "redis.back", "redis.refuses_writes", "redis.takes_writes")


def _told(daemon: Command) -> list[str]:
    return [event["event"] for event in daemon.events() if event["event"] in REDIS_EVENTS]


# Far more than a stop takes on a busy machine, and less than anything that waits for Redis.
PROMPT_S = 20


def _stopped(daemon: Command) -> tuple[int, float]:
    """Send SIGTERM; return the exit code, and after how many seconds it came."""
    asked_at = time.monotonic()
    daemon.kill(signal.SIGTERM)
    return daemon.code(), time.monotonic() - asked_at


def _at(folder: Path, dsn: str, *arguments: str) -> Command:
    """Start an orchestrator without a runner."""
    (folder / "rrq.toml").write_text(f'[rrq]\nredis_dsn = "{dsn}"\nlog_format = "json"\n')
    return Command("rrq_orchestrator", "--config", "rrq.toml", *arguments, cwd=folder)


def test_a_redis_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    """One event: the address without its password, the error, and what to check; a stop comes at once."""
    port = free_port()
    with _at(tmp_path, f"redis://user:canary@127.0.0.1:{port}/0") as daemon:
        daemon.wait_for("redis.lost")
        (lost,) = daemon.named("redis.lost")
        assert str(port) in lost["address"]
        assert "refused" in lost["problem"]
        assert "check that a Redis or Valkey server runs there" in lost["action"]
        code, took_s = _stopped(daemon)
        assert (code, took_s < PROMPT_S) == (0, True), took_s
        assert _told(daemon) == ["redis.lost"]
        assert "canary" not in "".join(daemon.lines)


def test_a_host_that_swallows_everything_does_not_delay_a_stop(tmp_path: Path) -> None:
    """A listener that never answers, as a Redis that hangs: the stop does not wait for its reply."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        daemon = stack.enter_context(_at(tmp_path, f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        with silent.accept()[0]:
            code, took_s = _stopped(daemon)
            assert (code, took_s < PROMPT_S) == (0, True), took_s


def test_an_outage_tells_its_length_when_it_is_over(own_redis: RedisServer, own_road: Road) -> None:
    """And names the embedded server's command only where there is one."""
    with own_road.running() as daemon:
        own_redis.kill()
        daemon.wait_for("redis.lost")
        own_redis.start()
        daemon.wait_for("redis.back")
        (lost,), (back,) = daemon.named("redis.lost"), daemon.named("redis.back")
        assert "rrq dev" not in lost["action"]
        assert 0 < back["outage_s"] < 30


@pytest.mark.parametrize("what", ["password", "right"])
def test_who_is_not_let_in_ends_with_the_configuration_code(
    own_redis: RedisServer, tmp_path: Path, what: str
) -> None:
    """A wrong password, or no right to run scripts, at the start: exit code 78, one message, no secret."""
    user = own_redis.url.replace("redis://", "redis://someone:canary@")
    rules = [">other", "+@all", "~*", "&*"] if what == "password" else [">canary", "+ping", "+select", "~*"]
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "someone", "on", *rules)
    with _at(tmp_path, user) as daemon:
        assert daemon.code() == 78, daemon.lines
        (said,) = [line for line in daemon.lines if line.startswith("rrq: ")]
        assert {"password": "its user and password", "right": "give this user the right"}[what] in said
        assert _told(daemon) == []
        assert "canary" not in "".join(daemon.lines)
        assert not any("Traceback" in line for line in daemon.lines)


def test_a_right_taken_away_in_the_middle_is_told_and_waited_for(
    own_redis: RedisServer, own_road: Road
) -> None:
    """The process goes on, warns what it may not do, and works again when it may."""
    with own_road.running() as daemon, redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-evalsha")
        daemon.wait_for("redis.refused")
        assert "NOPERM" in daemon.named("redis.refused")[0]["problem"]
        admin.execute_command("ACL", "SETUSER", "default", "+evalsha")
        daemon.wait_for("redis.allowed")
        job = own_road.producer.enqueue("work", {"number": 2})
        assert own_road.result(job.id).result == 4


def test_a_replica_is_refused_steadily_and_left_at_once(own_redis: RedisServer, own_road: Road) -> None:
    """One event says that it is a replica; nothing is registered; SIGTERM ends within the grace and a second.
    Promoted meanwhile, it is used (F30).
    """
    own_road.configure(**GRACE)
    own_road.client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    with own_road.start() as daemon:
        daemon.wait_for("redis.refuses_writes")
        time.sleep(2.5)  # long enough for what used to go back and forth
        assert _told(daemon) == ["redis.refuses_writes"]
        assert "replica" in daemon.named("redis.refuses_writes")[0]["action"]
        assert daemon.named("orchestrator.registered") == []
        code, took_s = _stopped(daemon)
        assert (code, took_s < PROMPT_S) == (0, True)
    with own_road.start() as daemon:
        daemon.wait_for("redis.refuses_writes")
        own_road.client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        daemon.wait_for("orchestrator.registered")
        assert _told(daemon) == ["redis.refuses_writes", "redis.takes_writes"]
        own_road.stop(daemon)


def test_a_primary_that_becomes_a_replica_under_load_is_one_condition(
    own_redis: RedisServer, own_road: Road
) -> None:
    """The attempt goes on and its end waits; it is written once the server takes writes again. A stop while
    it does not leaves within the grace and a second, with the code for abandoned work.
    """
    own_road.configure(lease_seconds=60, lease_beat_seconds=0.3, **GRACE)
    with own_road.start() as daemon:
        own_road.ready(daemon)
        jobs = [own_road.producer.enqueue("hold", {"gate": gate}) for gate in ("first", "second")]
        own_road.seen(2)
        own_road.client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        own_road.open("first")
        daemon.wait_for("redis.refuses_writes")
        time.sleep(1.5)
        assert _told(daemon) == ["redis.refuses_writes"]
        own_road.client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        assert own_road.result(jobs[0].id).status is JobStatus.COMPLETED
        daemon.wait_for("redis.takes_writes")
        own_road.client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        own_road.open("second")
        own_road.seen(2, what="end")
        code, took_s = _stopped(daemon)
        assert (code, took_s < PROMPT_S) == (3, True), took_s
    own_road.client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
    own_road.configure(lease_seconds=1.5, lease_beat_seconds=0.3)
    own_road.client.zadd(own_road.keyspace.workers, {_only(own_road): 1})
    with own_road.running():
        assert own_road.result(jobs[1].id).status is JobStatus.COMPLETED


def _only(road: Road) -> str:
    """Return the one orchestrator that is registered, dead by now."""
    names = [name.decode() for name in road.client.zrange(road.keyspace.workers, 0, -1)]  # type: ignore[union-attr]
    assert len(names) == 1
    return names[0]


def test_a_second_signal_shortens_the_flush(own_redis: RedisServer, own_road: Road) -> None:
    """Redis is away with an end unwritten, so the stop would wait ten seconds for it: a second SIGTERM leaves
    two. Exit code 3, for work was abandoned.
    """
    own_road.configure(lease_seconds=1.5, lease_beat_seconds=0.3, **GRACE)
    with own_road.start() as daemon:
        own_road.ready(daemon)
        job = own_road.producer.enqueue("hold", {"gate": "gate"})
        own_road.seen(1)
        own_redis.kill()
        own_road.open()
        own_road.seen(1, what="end")
        daemon.wait_for("redis.lost")
        daemon.kill(signal.SIGTERM)
        daemon.wait_for("orchestrator.stopping")
        time.sleep(2)  # it flushes by now
        assert daemon.process.poll() is None
        asked_at = time.monotonic()
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 3
        assert time.monotonic() - asked_at < PROMPT_S
        assert len(daemon.named("orchestrator.abandoned")) == 1
    own_redis.start()
    with own_road.running():
        assert own_road.result(job.id).status is JobStatus.COMPLETED


def test_a_second_signal_kills_runners_that_take_their_time(road: Road) -> None:
    """A runner that ignores SIGTERM has `runner_shutdown_term_grace_seconds`, unless a person is in a hurry;
    what can be written is written, so the code is 0.
    """
    road.configure(runner_shutdown_term_grace_seconds=60, **GRACE)
    with road.running() as daemon:
        job = road.producer.enqueue("blocking")
        road.seen(1)
        daemon.kill(signal.SIGTERM)
        daemon.wait_for("orchestrator.stopping")
        time.sleep(1)
        asked_at = time.monotonic()
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0
        assert time.monotonic() - asked_at < PROMPT_S
        assert road.record(job.id).status is JobStatus.PENDING
    road.producer.cancel(job.id)


def test_a_stop_with_nothing_to_tell_does_not_wait_for_redis(own_redis: RedisServer, own_road: Road) -> None:
    """Redis is away and no job is concerned: the row is left to lapse, and the code is 0."""
    own_road.configure(default_poll_delay_seconds=60)  # no claim is under way when it goes
    with own_road.running() as daemon:
        own_redis.kill()
        daemon.wait_for("redis.lost")
        code, took_s = _stopped(daemon)
        assert (code, took_s < PROMPT_S) == (0, True), took_s
    own_redis.start()


def test_with_overlap_prevented_attempts_end_with_the_lease(own_redis: RedisServer, own_road: Road) -> None:
    """Redis away for longer than a lease: what runs is killed before anybody else may run it, and runs again
    once Redis is back.
    """
    own_road.configure(overlap="prevent", lease_seconds=2, lease_beat_seconds=0.3)
    with own_road.running() as daemon:
        job = own_road.producer.enqueue("parental")
        (first,) = own_road.seen(1)
        own_redis.kill()
        lost_at = time.monotonic()
        daemon.wait_for("lease.ran_out")
        wait_until_gone([first.pid])
        assert time.monotonic() - lost_at < PROMPT_S
        own_redis.start()
        (_, second) = own_road.seen(2)
        assert (second.job_id, second.pid != first.pid) == (job.id, True)
        own_road.producer.cancel(job.id)
        assert own_road.result(job.id).status is JobStatus.CANCELLED
        assert own_road.record(job.id).crash_count == 0
