"""A TCP proxy in front of a Redis that misbehaves on request: cuts, black holes, delays, foreign replies,
single bytes.

It runs in threads of its own, so it serves blocking and async clients alike. Rules look for a marker in what
the client sends (``b"EVAL"`` by default), so that the handshake of a connection passes.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Proxy"]

_CHUNK = 65536


def _command_end(buffer: bytes) -> int:
    """Return where the first command (an array of bulk strings) ends, 0 while it is not complete."""
    if buffer.startswith(b"\n"):
        return 1  # a sign of life from a replica that loads what it was sent
    line = buffer.find(b"\r\n")
    if line < 0:
        return 0
    at = line + 2
    for _ in range(int(buffer[1:line])):
        line = buffer.find(b"\r\n", at)
        if line < 0:
            return 0
        at = line + 2 + int(buffer[at + 1 : line]) + 2
    return at if at <= len(buffer) else 0


class _Link:
    """One client's connection and the one made for it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.cut_reply = self.silent = False

    def close(self) -> None:
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Proxy:
    """Forwards to ``redis_url``; use it in ``with`` and connect to ``url``.

    Attributes:
        url: Where clients connect.
        connections: How many have been made.
    """

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        assert parts.hostname is not None, f"expected a TCP address, got {redis_url}"
        self._target = parts.hostname, parts.port or 6379
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self.connections = 0
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._cuts, self._answers, self._answer, self._marker = 0, 0, b"", b"EVAL"
        self._keep = 0
        self._silences = 0
        self._single_bytes = False
        self._delay_s, self._pause_per_byte_s = 0.0, 0.0
        self._cut_seen = threading.Event()
        # Set while replies may pass, and while commands may.
        self._flowing, self._reading = threading.Event(), threading.Event()
        self._flowing.set()
        self._reading.set()
        self._refusing = False

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self._reading.set()
        self.cut_all()
        for thread in self._threads:
            thread.join(10)

    def cut_replies(self, count: int, marker: bytes = b"EVAL", *, keep: int = 0) -> None:
        """Let the next ``count`` commands with the marker reach the server, and cut their connections before
        the reply, or after the first ``keep`` bytes of it."""
        with self._lock:
            self._cuts, self._marker, self._keep = count, marker, keep

    def wait_for_cut(self, timeout_s: float = 10) -> None:
        """Return once a reply was cut off."""
        assert self._cut_seen.wait(timeout_s), f"expected a cut within {timeout_s} s"

    def silence(self, count: int, marker: bytes = b"EVAL") -> None:
        """Let the next ``count`` commands with the marker reach the server; nothing comes back on their
        connections, which stay open."""
        with self._lock:
            self._silences, self._marker = count, marker

    def answer(self, reply: bytes, count: int, marker: bytes = b"EVAL") -> None:
        """Answer the next ``count`` commands with the marker ourselves; the server does not see them."""
        with self._lock:
            self._answer, self._answers, self._marker = reply, count, marker

    def answers_left(self) -> int:
        """Return how many answers of ours are still to be given."""
        return self._answers

    def split_replies(self) -> None:
        """Send every reply one byte at a time."""
        self._single_bytes = True

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Swallow nothing but let no reply pass while the block runs: connections stay open and silent."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Let each piece of a reply pass only after so many seconds while the block runs."""
        self._delay_s = seconds
        try:
            yield
        finally:
            self._delay_s = 0.0

    @contextmanager
    def narrow(self, bytes_per_s: float) -> Iterator[None]:
        """Read only so many bytes a second from each client while the block runs."""
        self._pause_per_byte_s = 1 / bytes_per_s
        try:
            yield
        finally:
            self._pause_per_byte_s = 0.0

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Read nothing from the clients while the block runs, from their next bytes on."""
        self._reading.clear()
        try:
            yield
        finally:
            self._reading.set()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Close every connection, and each new one, while the block runs."""
        self._refusing = True
        self.cut_all()
        try:
            yield
        finally:
            self._refusing = False

    def lead_to(self, redis_url: str) -> None:
        """Forward to another server from now on, and cut the connections to the one before: a failover."""
        parts = urlsplit(redis_url)
        assert parts.hostname is not None, f"expected a TCP address, got {redis_url}"
        self._target = parts.hostname, parts.port or 6379
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every connection."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def _start(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._target) if not self._refusing else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            with self._lock:
                self._links.append(link)
            self._start(self._requests, link)
            self._start(self._replies, link)

    def _requests(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            buffer = b""
            while data := link.client.recv(_CHUNK):
                self._reading.wait()
                time.sleep(len(data) * self._pause_per_byte_s)
                buffer += data
                while end := _command_end(buffer):
                    command, buffer = buffer[:end], buffer[end:]
                    if self._take_answer(command):
                        link.client.sendall(self._answer)
                        continue
                    link.cut_reply = link.cut_reply or self._take_cut(command)
                    link.silent = link.silent or self._take_silence(command)
                    link.server.sendall(command)
        link.close()

    def _replies(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.server.recv(_CHUNK):
                if link.cut_reply:
                    self._cut_seen.set()
                    link.client.sendall(data[: self._keep])
                    break
                self._flowing.wait()
                time.sleep(self._delay_s)
                if link.silent:
                    continue
                if self._single_bytes:
                    for byte in data:
                        link.client.sendall(bytes((byte,)))
                else:
                    link.client.sendall(data)
        link.close()

    def _take_answer(self, data: bytes) -> bool:
        with self._lock:
            if self._answers and self._marker in data:
                self._answers -= 1
                return True
        return False

    def _take_silence(self, data: bytes) -> bool:
        with self._lock:
            if self._silences and self._marker in data:
                self._silences -= 1
                return True
        return False

    def _take_cut(self, data: bytes) -> bool:
        with self._lock:
            if self._cuts and self._marker in data:
                self._cuts -= 1
                return True
        return False
