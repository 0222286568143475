"""Three questions to a server on a Unix socket, without a Redis client: they come before there is one."""

import enum
import socket
from typing import Final

__all__ = ["Answer", "ask_to_shut_down", "ping", "server_version"]

_TIMEOUT_S: Final = 1.0
_MAX_REPLY_BYTES: Final = 64 * 1024


class Answer(enum.Enum):
    """What came back on a PING."""

    READY = "ready"
    LOADING = "loading its data"
    BUSY = "there, but without an answer so far"
    ABSENT = "nobody listens"


def ping(path: str, *, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Ask the server at ``path`` whether it serves."""
    try:
        with _connect(path, timeout_s) as connection:
            connection.sendall(b"PING\r\n")
            reply = connection.recv(512)
    except TimeoutError:
        return Answer.BUSY
    except OSError:
        return Answer.ABSENT
    if reply.startswith(b"+PONG"):
        return Answer.READY
    return Answer.LOADING if reply.startswith(b"-LOADING") else Answer.BUSY


def server_version(path: str) -> str:
    """Return the version in ``INFO server``; empty where it cannot be had."""
    try:
        with _connect(path, _TIMEOUT_S) as connection, connection.makefile("rb") as replies:
            connection.sendall(b"INFO server\r\n")
            size = int(replies.readline(_MAX_REPLY_BYTES).removeprefix(b"$"))
            text = replies.read(min(size, _MAX_REPLY_BYTES)).decode(errors="replace")
    except (OSError, ValueError):
        return ""
    facts = dict(line.partition(":")[::2] for line in text.splitlines())
    # Valkey calls itself Redis 7.2.4 as well, for old clients.
    return facts.get("valkey_version") or facts.get("redis_version", "")


def ask_to_shut_down(path: str) -> bool:
    """Ask the server to end at once; what it acknowledged is in its file. Returns whether it listens."""
    try:
        with _connect(path, _TIMEOUT_S) as connection:
            connection.sendall(b"SHUTDOWN NOSAVE NOW FORCE\r\n")
            connection.recv(512)
    except (TimeoutError, ConnectionResetError):
        return True
    except OSError:
        return False
    return True


def _connect(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection
