"""The whole road in a folder of its own: an rrq.toml, handlers, orchestrators as processes, and what they
left.

Every process started from here, at whatever remove, carries a mark in its environment, by which
:meth:`Road.processes` finds it. Every socket is made below the folder.
"""

import json
import os
import secrets
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Any, Self

import redis

from rrq_producer import EnqueuedJob, Producer
from rrq_protocol import JobRecord, JobResult, Keyspace, parse_record
from support import road_handlers
from support.audit import Finding, audit
from support.processes import Command, run_module
from support.waiting import eventually

__all__ = ["FAST", "Road", "Sighting"]

FAST: Mapping[str, Any] = {
    "base_retry_delay_seconds": 0.05,
    "max_retry_delay_seconds": 2.0,
    "runner_cancel_grace_seconds": 0.3,
    "runner_shutdown_term_grace_seconds": 1.0,
    "worker_shutdown_grace_period_seconds": 5.0,
    "log_format": "json",
}
WITHIN_S = 30
_PYTHON: Mapping[str, Any] = {"app": "handlers:settings", "pool_size": 2}


@dataclass(frozen=True)
class Sighting:
    """One line of the witness: an attempt started or ended in a process."""

    what: str
    job_id: str
    attempt: int
    request_id: str
    pid: int
    queue: str


class Road:
    """See the module.

    Args:
        url: The Redis.
        keyspace: Where the keys go.

    Attributes:
        conserved: Whether the counters must add up at the end; not where a test writes keys by hand.
        max_crashes: As in the settings.
    """

    def __init__(self, url: str, keyspace: Keyspace) -> None:
        self.url, self.keyspace = url, keyspace
        self.conserved, self.max_crashes = True, 3
        # Not pytest's tmp_path: a Unix socket's path may be 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="rrq-road-"))
        self.mark = f"rrq-road-{secrets.token_hex(8)}"
        self.client = redis.Redis.from_url(url)
        # Options of the client library mean nothing to a producer.
        self.producer = Producer(url.partition("?")[0], key_prefix=keyspace.prefix)
        self._gates, self._witness = self.folder / "gates", self.folder / "witness"
        self._tmp = self.folder / "tmp"
        for folder in (self._gates, self._tmp):
            folder.mkdir(mode=0o700)
        self.install_handlers()
        self.configure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.producer.close()
        self.client.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The folder.

    def install_handlers(self, name: str = "handlers") -> None:
        """Put the handlers into the folder as a module."""
        shutil.copy(road_handlers.__file__, self.folder / f"{name}.py")

    def configure(self, runners: Mapping[str, Mapping[str, Any]] | None = None, **settings: Any) -> None:
        """Write rrq.toml: the Redis, the key space, short times, and the runners."""
        runners = runners or {"python": _PYTHON}
        self._pool = sum(runner.get("pool_size", 1) for runner in runners.values())
        table: dict[str, Any] = {
            "redis_dsn": self.url,
            "key_prefix": self.keyspace.prefix,
            **FAST,
            **settings,
            "runners": {
                name: {**runner, "env": {**self.environment(name), **runner.get("env", {})}}
                for name, runner in runners.items()
            },
        }
        (self.folder / "rrq.toml").write_text("\n".join(_toml(("rrq",), table)) + "\n")

    def environment(self, runner: str = "") -> dict[str, str]:
        """Return the variables of processes started here."""
        return {
            "ROAD_MARK": self.mark,
            "ROAD_RUNNER": runner,
            "ROAD_GATES": str(self._gates),
            "ROAD_WITNESS": str(self._witness),
            "TMPDIR": str(self._tmp),
        }

    def open(self, gate: str = "gate") -> None:
        """Let the ``hold`` handlers that wait for this gate end."""
        (self._gates / gate).touch()

    # Processes.

    def start(self, *arguments: str) -> Command:
        """Start an orchestrator; use it in ``with``, which kills it at the end if it has not ended."""
        return Command(
            "rrq_orchestrator",
            *("--config", "rrq.toml", *arguments),
            cwd=self.folder,
            env=self.environment(),
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Command]:
        """Serve an orchestrator whose runners are ready; it is stopped at the end, and must stop cleanly."""
        with self.start(*arguments) as daemon:
            self.ready(daemon)
            yield daemon
            self.stop(daemon)

    @contextmanager
    def running_until_killed(self) -> Iterator[Command]:
        """Serve an orchestrator whose runners are ready; at the end it is killed."""
        with self.start() as daemon:
            self.ready(daemon)
            yield daemon
            daemon.kill(signal.SIGKILL)

    def ready(self, daemon: Command) -> None:
        """Wait until an orchestrator is registered and all of its runner processes are ready."""
        daemon.wait_for("orchestrator.registered")
        eventually(
            lambda: len(daemon.named("runner.started")) >= self._pool, "all runner processes to be ready"
        )

    def beats(self, orchestrator: str, count: int) -> None:
        """Wait until an orchestrator has renewed its lease so often."""
        leases: set[Any] = set()

        def renewed() -> bool:
            leases.add(self.client.zscore(self.keyspace.workers, orchestrator))
            return len(leases) > count

        eventually(renewed, f"{count} beats of {orchestrator}")

    def stop(self, daemon: Command) -> None:
        """Ask for an orderly stop, and see that it is one."""
        if daemon.process.poll() is None:
            daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0, daemon.lines
        assert not any("Traceback" in line for line in daemon.lines), daemon.lines

    def command(self, module: str, *arguments: str) -> CompletedProcess[str]:
        """Run a command of a wheel in the folder, to its end."""
        return run_module(module, *arguments, cwd=self.folder, env=self.environment())

    def processes(self) -> list[int]:
        """Return the process ids of everything started from here that still runs."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(OSError):
                if f"ROAD_MARK={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return sorted(found)

    def sockets(self) -> list[Path]:
        """Return the sockets that are left below the folder."""
        return [path for path in self.folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]

    # Jobs.

    def results(self, jobs: Iterable[EnqueuedJob]) -> list[JobResult]:
        """Wait until all of these jobs have ended, and return their results, in order."""
        return [self.result(job.id) for job in jobs]

    def result(self, job_id: str) -> JobResult:
        """Wait until a job has ended, and return its result."""
        # A waiter subscribes first, which is of no use for one that ended long ago.
        known = self.producer.get_job_status(job_id)
        return known if known and known.status.is_terminal else self.producer.wait(job_id, WITHIN_S)

    def record(self, job_id: str) -> JobRecord:
        """Return a job as it is stored."""
        fields: Any = self.client.hgetall(self.keyspace.job(job_id))
        return parse_record(fields)

    def dead(self, name: str = "default") -> list[str]:
        """Return the ids in a dead letter queue, newest first."""
        entries: Any = self.client.lrange(self.keyspace.dlq(name), 0, -1)
        return [entry.decode() for entry in entries]

    def sightings(self, what: str = "start", *job_ids: str) -> list[Sighting]:
        """Return what the witness saw so far, in order; of these jobs, if any are given."""
        if not self._witness.exists():
            return []
        lines = [line.split(" ") for line in self._witness.read_text().splitlines()]
        seen = [
            Sighting(kind, job, int(n), request, int(pid), queue)
            for kind, job, n, request, pid, queue in lines
        ]
        return [each for each in seen if each.what == what and (not job_ids or each.job_id in job_ids)]

    def seen(self, count: int, *job_ids: str, what: str = "start") -> list[Sighting]:
        """Wait until the witness saw so many starts (of these jobs, if any are given), and return them."""
        return eventually(
            lambda: seen if len(seen := self.sightings(what, *job_ids)) >= count else [],
            f"{count} sightings of {what!r}",
        )

    # The end.

    def findings(self) -> tuple[Finding, ...]:
        """Return what the key-space auditor finds."""
        return audit(self.client, self.keyspace, max_crashes=self.max_crashes, conserved=self.conserved)

    def assert_nothing_left(self) -> None:
        """Fail if keys do not fit together, or a process or a socket is left."""
        eventually(lambda: not self.processes(), f"no process with the mark {self.mark}", within_s=10)
        assert self.sockets() == []
        assert self.findings() == ()


def _toml(path: tuple[str, ...], table: Mapping[str, Any], *, listed: bool = False) -> Iterator[str]:
    """Yield the lines of a TOML table: plain values first, then the tables in it."""
    yield f"[[{'.'.join(path)}]]" if listed else f"[{'.'.join(path)}]"
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _is_tables(value):
            yield f"{key} = {json.dumps(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml((*path, key), value)
        elif _is_tables(value):
            for each in value:
                yield from _toml((*path, key), each, listed=True)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
