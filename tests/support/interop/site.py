"""One Redis and one rrq.toml, read by both lines; their orchestrators, runners, producers and commands.

Every process carries a mark in its environment, by which those that outlive their orchestrator are found: the
public Python runner outlives its own when that is killed.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from rrq_producer import Producer
from rrq_protocol import JobRecord, JobResult, Keyspace, parse_record
from support.interop.peers import Peers
from support.redis_servers import free_port

__all__ = ["Running", "Site", "Stranger"]

WITHIN_S = 30.0
PROGRAMS = Path(__file__).resolve().parents[2] / "interop" / "programs"
# Read by both lines; what only ours knows, theirs skips. Times are short, so that nobody waits.
SETTINGS: Mapping[str, Any] = {
    "base_retry_delay_seconds": 0.05,
    "default_poll_delay_seconds": 0.02,
    "worker_health_check_interval_seconds": 1.0,
    "worker_health_check_ttl_buffer_seconds": 1.0,
    "worker_shutdown_grace_period_seconds": 5.0,
    "runner_shutdown_term_grace_seconds": 1.0,
    "default_lock_timeout_extension_seconds": 1,
    "runner_cancel_grace_seconds": 0.3,
    "lease_seconds": 2.0,
    "lease_beat_seconds": 0.4,
    "reconcile_interval_seconds": 0.5,
    "log_format": "json",
}


class Running:
    """A process of either line, and what it prints."""

    def __init__(self, command: list[str], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(WITHIN_S)

    def stop(self) -> int:
        """End it in an orderly way and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)


class Stranger:
    """A producer of the public line, in a process of its own."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=WITHIN_S)

    def do(self, what: str, function: str = "", params: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Have it do something and return what came of it.

        Raises:
            ValueError: It refused; the text is its own.
        """
        request = {"do": what, "function": function, "params": params or {}, **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]

    def enqueue(self, function: str, params: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Enqueue a job and return its id."""
        job_id: str = self.do("enqueue", function, params, options=options)
        return job_id

    def wait(self, job_id: str) -> Any:
        """Return how a job ended: status, result, last_error."""
        return self.do("wait", job_id=job_id)


class Site:
    """See the module.

    Args:
        url: A Redis of the tests' own: the public line knows no key prefix but ``rrq``.
        peers: The public line.

    Attributes:
        producer: Ours.
        keyspace: The only one there is.
    """

    def __init__(self, url: str, peers: Peers) -> None:
        self.url, self.peers, self.keyspace = url, peers, Keyspace()
        self.folder = Path(tempfile.mkdtemp(prefix="rrq-interop-"))
        self.config = self.folder / "rrq.toml"
        self.client = redis.Redis.from_url(url)
        self.client.flushdb()
        self.producer = Producer(url)
        self._mark = secrets.token_hex(8)
        self._witness = self.folder / "witness"
        self._ours = {
            "INTEROP_MARK": self._mark,
            "INTEROP_REDIS": url,
            "INTEROP_WITNESS": str(self._witness),
            "PYTHONPATH": str(PROGRAMS),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if error is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"{log.name}:", log.read_text(errors="replace")[-3000:], sep="\n")
        self.producer.close()
        self.client.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Processes.

    def environment(self) -> dict[str, str]:
        """Return the variables of every process: the caller's without RRQ_*."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}
        return {**kept, **self._ours, "RUST_LOG": "info", "NO_COLOR": "1"}

    def runner(self, kind: str) -> list[str]:
        """Return the command of a runner: ``ours``, ``wheel`` or ``crate``."""
        if kind == "ours":
            return [sys.executable, "-m", "rrq_runner", "--settings", "handlers.settings"]
        if kind == "wheel":
            return [str(self.peers.commands / "rrq-runner"), "--settings", "handlers.settings"]
        return [str(self.peers.program)]

    def configure(self, kind: str, *, max_in_flight: int = 16, **settings: Any) -> Path:
        """Write an rrq.toml whose runner is of this kind, and return where."""
        path = self.folder / f"{kind}.toml"
        table = {"redis_dsn": self.url, **SETTINGS, **settings}
        lines = ["[rrq]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        lines += ["[rrq.runners.python]", 'type = "socket"', f"cmd = {json.dumps(self.runner(kind))}"]
        lines += [f"tcp_port = {free_port()}", "pool_size = 1", f"max_in_flight = {max_in_flight}"]
        # Ours hands a runner few variables of its own.
        lines += [
            "[rrq.runners.python.env]",
            *(f"{name} = {json.dumps(text)}" for name, text in self._ours.items()),
        ]
        path.write_text("\n".join([*lines, ""]))
        return path

    def start(self, line: str, config: Path) -> Running:
        """Start an orchestrator of a line, ``ours`` or ``public``."""
        if line == "ours":
            command = [sys.executable, "-m", "rrq_orchestrator", "--config", str(config)]
        else:
            command = [str(self.peers.commands / "rrq"), "worker", "run", "--config", str(config)]
        return Running(command, self.folder / f"{line}.log", self.environment())

    @contextmanager
    def running(self, line: str, runner: str, **settings: Any) -> Iterator[Running]:
        """Serve an orchestrator with its runner; it must still run at the end, and stop cleanly."""
        daemon = self.start(line, self.configure(runner, **settings))
        yield daemon
        assert daemon.process.poll() is None
        assert daemon.stop() == 0

    @contextmanager
    def stranger(self, kind: str) -> Iterator[Stranger]:
        """Serve a producer of the public line: ``wheel`` or ``crate``."""
        if kind == "wheel":
            command = [str(self.peers.commands / "python"), str(PROGRAMS / "produce.py")]
        else:
            command = [str(self.peers.program), "produce"]
        found = Stranger(command, self.environment())
        try:
            yield found
        finally:
            found.close()

    def public(self, *arguments: str) -> str:
        """Run a command of the public line and return what it prints."""
        command = [str(self.peers.commands / "rrq"), *arguments, "--config", str(self.folder / "ours.toml")]
        return self._output(command)

    def ours(self, *arguments: str) -> Any:
        """Run a command of ours and return the JSON it prints."""
        command = [sys.executable, "-m", "rrq_cli", "--config", str(self.folder / "ours.toml"), *arguments]
        return json.loads(self._output([*command, "--json"]))

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def processes(self) -> list[int]:
        """Return the ids of processes started from here, at whatever remove."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    if f"INTEROP_MARK={self._mark}".encode() in (folder / "environ").read_bytes().split(
                        b"\0"
                    ):
                        found.append(int(folder.name))
        return found

    # Jobs.

    def result(self, job_id: str) -> JobResult:
        """Wait with our producer until a job has ended."""
        return self.producer.wait(job_id, WITHIN_S)

    def record(self, job_id: str) -> JobRecord:
        """Return a job as it is stored."""
        fields: Any = self.client.hgetall(self.keyspace.job(job_id))
        return parse_record(fields)

    def fields(self, job_ids: Sequence[str], name: str) -> list[str | None]:
        """Return one field of many jobs."""
        with self.client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self.keyspace.job(job_id), name)
            found: list[bytes | None] = pipe.execute()
        return [None if value is None else value.decode() for value in found]

    def left(self) -> list[str]:
        """Return the keys of queues, active sets and locks that hold something."""
        wanted = ("rrq:queue:*", "rrq:active:jobs:*", "rrq:lock:*")
        return [key.decode() for each in wanted for key in self.client.scan_iter(each)]

    def dead(self) -> list[str]:
        """Return the ids in the dead letter queue."""
        entries: Any = self.client.lrange(self.keyspace.dlq("default"), 0, -1)
        return [entry.decode() for entry in entries]

    def starts(self, job_id: str) -> list[tuple[int, str]]:
        """Return the attempts of a job that started, and in which runner."""
        lines = self._witness.read_text().splitlines() if self._witness.exists() else []
        seen = [line.split() for line in lines]
        return [(int(attempt), ran) for job, attempt, ran in seen if job == job_id]

    def executions(self) -> Counter[str]:
        """Return how often each job was started."""
        lines = self._witness.read_text().splitlines() if self._witness.exists() else []
        return Counter(line.split()[0] for line in lines)
