"""Runs the commands and programs that earlier versions told people to write, word by word."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from rrq_protocol import JobRecord, JobStatus, Keyspace, parse_record
from support.cli import World

__all__ = ["Shop"]

_GIVE_UP_S = 60.0


class Shop:
    """A folder with somebody's program in it, and a shell that finds the installed commands.

    Args:
        url: The Redis.
        client: A connection to it.
        keys: The key space, whose prefix the commands are given by a variable.
        folder: Where everything runs.
    """

    def __init__(self, url: str, client: "redis.Redis", keys: Keyspace, folder: Path) -> None:
        self.url, self.redis, self.keys, self.folder = url, client, keys, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        self.environment = {**kept, "PATH": path, "RRQ_KEY_PREFIX": keys.prefix, "RRQ_REDIS_DSN": url}
        self.environment |= {"RRQ_BASE_RETRY_DELAY_SECONDS": "0.05", "NO_COLOR": "1"}

    def write(self, name: str, text: str) -> None:
        """Write a file of the program."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, line: str, code: int = 0, typed: str = "") -> str:
        """Run a command line until it ends; return what it printed, errors last."""
        done = subprocess.run(
            shlex.split(line),
            env=self.environment,
            cwd=self.folder,
            input=typed,
            capture_output=True,
            check=False,
            text=True,
            timeout=_GIVE_UP_S,
        )
        assert done.returncode == code, f"{line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def call(self, line: str, code: int = 0) -> str:
        """Run a command line of ``rrq`` in this process, which is quicker; return what it printed."""
        name, *words = shlex.split(line)
        assert name == "rrq"
        answer = World(self.url, self.redis, self.keys, self.folder).rrq(*words, environment=self.environment)
        assert answer.code == code, f"{line}: exit code {answer.code}\n{answer.out}{answer.err}"
        return answer.out + answer.err

    @contextmanager
    def running(self, line: str, code: int = 0, stop: signal.Signals = signal.SIGTERM) -> Iterator[None]:
        """Run a command line beside the block, and end it as an operator does."""
        output = self.folder / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                shlex.split(line), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                yield
                process.send_signal(stop)
                ended = process.wait(_GIVE_UP_S)
                assert ended == code, f"{line}: exit code {ended}\n{output.read_text()}"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def jobs(self) -> list[JobRecord]:
        """Return every job there is, by function and id."""
        client: Any = self.redis
        found = [parse_record(client.hgetall(key)) for key in client.scan_iter(f"{self.keys.job('')}*")]
        return sorted(found, key=lambda record: (record.function_name, record.id))

    def wait_until(self, status: JobStatus, count: int) -> list[JobRecord]:
        """Wait until so many jobs have a status; return them."""
        give_up = time.monotonic() + _GIVE_UP_S
        while len(found := [job for job in self.jobs() if job.status is status]) < count:
            states = [(job.function_name, job.status, job.last_error) for job in self.jobs()]
            output = self.folder / "output.txt"
            said = output.read_text() if output.exists() else ""
            assert time.monotonic() < give_up, f"not {count} jobs {status}: {states}\n{said}"
            time.sleep(0.05)  # Redis tells no stranger when a job ends
        return found

    def wait_for_orchestrator(self) -> None:
        """Wait until somebody has reported."""
        give_up = time.monotonic() + _GIVE_UP_S
        while not self.redis.zcard(self.keys.workers):
            assert time.monotonic() < give_up, (self.folder / "output.txt").read_text()
            time.sleep(0.05)  # as above
