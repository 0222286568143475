"""Real Redis servers that tests may stop, kill and start again: a process of our own, a container, or one
that was given.
"""

import logging
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

__all__ = [
    "ContainerServer",
    "ExternalServer",
    "ProcessServer",
    "RedisServer",
    "ServerError",
    "free_port",
    "two_free_ports",
]

READY_WITHIN_S = 15.0
STOPPED_WITHIN_S = 15.0
LOOPBACK = "127.0.0.1"


class ServerError(Exception):
    """A test server did not start, did not end, or cannot do what was asked; the text says which."""


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def two_free_ports() -> tuple[int, int]:
    """Return a port that was free a moment ago together with the next one."""
    while True:
        port = free_port()
        with suppress(OSError), socket.create_server((LOOPBACK, port + 1)):
            return port, port + 1


class RedisServer(ABC):
    """One Redis for tests. `start` returns when it answers; `url` stays the same over restarts.

    Attributes:
        url: Where clients connect.
    """

    url: str

    @property
    @abstractmethod
    def pid(self) -> int:
        """The server's process id on this host."""

    @abstractmethod
    def start(self) -> None:
        """Start it, with the data it had, and return when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it gently and return when it is gone."""

    @abstractmethod
    def kill(self) -> None:
        """End it with SIGKILL and return when it is gone."""

    @abstractmethod
    def close(self) -> None:
        """End it, however it stands, and remove what it stored."""

    def restart(self) -> None:
        """Stop it gently and start it again."""
        self.stop()
        self.start()

    def _failure(self) -> str | None:
        """Return why it will never answer, or None while it may."""
        return None

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + READY_WITHIN_S
        last: Exception | None = None
        with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
            while time.monotonic() < give_up:
                if (failure := self._failure()) is not None:
                    raise ServerError(failure)
                try:
                    client.ping()
                except redis.RedisError as error:
                    last = error
                    time.sleep(0.01)
                else:
                    return
        raise ServerError(f"{self.url}: expected an answer to PING within {READY_WITHIN_S} s, got {last!r}")


class ProcessServer(RedisServer):
    """A server process of our own, with a folder of its own, on a free loopback port or a Unix socket.

    Args:
        binary: A redis-server or valkey-server.
        append_only: Write every change to disk before acknowledging it, so that nothing acknowledged is lost
            by a kill.
        unix_socket: Listen on a socket in the folder instead of a port.
        port: The port, instead of a free one.
        arguments: More arguments for the server, e.g. ``("--maxmemory", "10mb")``.
    """

    def __init__(
        self,
        binary: Path,
        *,
        append_only: bool = False,
        unix_socket: bool = False,
        port: int | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        # Not pytest's tmp_path: a Unix socket's path may be 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="rrq-redis-"))
        self._command = [str(binary), "--dir", str(self.folder), "--save", "", "--loglevel", "notice"]
        self._command += ["--appendonly", "yes" if append_only else "no", "--appendfsync", "always"]
        if unix_socket:
            path = self.folder / "redis.sock"
            self.url = f"unix://{path}"
            self._command += ["--port", "0", "--unixsocket", str(path)]
        else:
            port = port or free_port()
            self.url = f"redis://{LOOPBACK}:{port}/0"
            self._command += ["--bind", LOOPBACK, "--port", str(port)]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._running().pid

    def start(self) -> None:
        """Start it, with the data it had, and return when it answers."""
        self.start_with()
        self._wait_until_ready()

    def start_with(self, *arguments: str) -> None:
        """Start it with these arguments besides, and return at once: it may have much to load."""
        if self._process is not None:
            raise ServerError(f"{self.url}: is running already")
        command = [*self._command, *arguments]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it gently and return when it is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL and return when it is gone."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, however it stands, and remove what it stored."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server has written to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError(f"{self.url}: expected a running server, but it was stopped")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        process = self._running()
        process.send_signal(number)
        # A server that a test has stopped with SIGSTOP ends only when it may run again.
        process.send_signal(signal.SIGCONT)
        process.wait(STOPPED_WITHIN_S)
        self._process = None

    def _failure(self) -> str | None:
        if (code := self._running().poll()) is None:
            return None
        self._process = None
        return (
            f"{self._command[0]} ended with code {code} while starting; its log ends:\n{self.log()[-2000:]}"
        )


class ContainerServer(RedisServer):
    """A server in a container, on a fixed loopback port so that its address stays the same over restarts."""

    def __init__(self, image: str, *, append_only: bool = False) -> None:
        from testcontainers.core.container import DockerContainer

        # Its log says to standard error what every start-up does; the tests' own output is enough.
        logging.getLogger("testcontainers").setLevel(logging.WARNING)
        port = free_port()
        self.url = f"redis://{LOOPBACK}:{port}/0"
        command = ["redis-server", "--protected-mode", "no", "--save", ""]
        command += ["--appendonly", "yes" if append_only else "no", "--appendfsync", "always"]
        self._container = DockerContainer(image).with_bind_ports(6379, port).with_command(command)
        self._made = False

    @property
    def pid(self) -> int:
        """The server's process id on this host."""
        handle = self._handle()
        handle.reload()
        pid: int = handle.attrs["State"]["Pid"]
        return pid

    def start(self) -> None:
        """Start it, with the data it had, and return when it answers."""
        if self._made:
            self._handle().start()
        else:
            self._container.start()
            self._made = True
        self._wait_until_ready()

    def stop(self) -> None:
        """End it gently and return when it is gone."""
        self._handle().stop()

    def kill(self) -> None:
        """End it with SIGKILL and return when it is gone."""
        handle = self._handle()
        handle.kill()
        handle.wait()

    def close(self) -> None:
        """End it, however it stands, and remove what it stored."""
        if self._made:
            self._container.stop(force=True, delete_volume=True)
            self._made = False
        self._container.get_docker_client().client.close()

    def _handle(self) -> Any:
        return self._container.get_wrapped_container()


class ExternalServer(RedisServer):
    """A server that was given; tests may use it but not stop it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def pid(self) -> int:
        """Not known: the server may run anywhere."""
        raise self._refusal()

    def start(self) -> None:
        """Check that it answers."""
        self._wait_until_ready()

    def stop(self) -> None:
        """Refuse."""
        raise self._refusal()

    def kill(self) -> None:
        """Refuse."""
        raise self._refusal()

    def close(self) -> None:
        """Leave it as it is."""

    def _refusal(self) -> ServerError:
        return ServerError(f"{self.url}: is not ours to stop; use the fixture own_redis for that")
