"""Questions to a server on a Unix socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rrq_orchestrator.embedded.probe import Answer, ask_to_shut_down, ping, server_version


@contextmanager
def _saying(path: Path, reply: bytes | None) -> Iterator[None]:
    """Serve one connection: a reply, the end of the connection for an empty one, silence for None."""
    done = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                if reply:
                    connection.sendall(reply)
                elif reply is None:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"+PONG\r\n", Answer.READY),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", Answer.LOADING),
        (b"-BUSY a script runs\r\n", Answer.BUSY),
        (b"", Answer.BUSY),
        (None, Answer.BUSY),
    ],
    ids=["pong", "loading", "busy", "closed", "silent"],
)
def test_what_a_ping_tells(tmp_path: Path, reply: bytes | None, answer: Answer) -> None:
    """Ready only with a PONG; a silent server is there, but of no use."""
    with _saying(tmp_path / "s", reply):
        assert ping(str(tmp_path / "s"), timeout_s=0.1) is answer


def test_nobody_listens(tmp_path: Path) -> None:
    """Neither a missing nor a stale socket file is a server."""
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(stale))
    for path in (stale, tmp_path / "missing"):
        assert ping(str(path)) is Answer.ABSENT
        assert server_version(str(path)) == ""
        assert not ask_to_shut_down(str(path))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\n", "9.1.2"),
        ("# Server\r\nredis_version:7.0.15\r\n", "7.0.15"),
        ("# Server\r\n", ""),
    ],
)
def test_the_version_is_the_servers_own(tmp_path: Path, text: str, version: str) -> None:
    """Valkey's own number, not the one it shows to old clients of Redis."""
    with _saying(tmp_path / "s", f"${len(text)}\r\n{text}\r\n".encode()):
        assert server_version(str(tmp_path / "s")) == version


@pytest.mark.parametrize("reply", [b"-NOAUTH\r\n", b"$x\r\n", b""])
def test_a_refused_version_is_empty(tmp_path: Path, reply: bytes) -> None:
    """The version is for display; not to know it is no failure."""
    with _saying(tmp_path / "s", reply):
        assert server_version(str(tmp_path / "s")) == ""
