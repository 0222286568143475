"""A small HTTP/1.1 server: GET and HEAD of a few short answers, with limits on everything a client does."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec

from rrq_orchestrator.http.request import BadRequest, Request, parse_head

__all__ = ["Answer", "HttpServer", "Limits"]


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Limits(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes.

    Attributes:
        head_bytes: Largest head of a request.
        head_s: From the connection, or the previous answer, to the end of a head.
        write_s: For a client to take an answer.
        connections: Open at a time; more are turned away.
        requests: On one connection.
    """

    head_bytes: int = 8192
    head_s: float = 10.0
    write_s: float = 10.0
    connections: int = 64
    requests: int = 1000


_DEFAULT: Final = Limits()


class HttpServer:
    """Serves what ``answer`` says to GET; None means there is no such path."""

    def __init__(
        self, answer: Callable[[Request], Awaitable[Answer | None]], limits: Limits = _DEFAULT
    ) -> None:
        self._answer, self._limits = answer, limits
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the address.

        Raises:
            OSError: The address cannot be had.
        """
        self._server = await asyncio.start_server(
            self._connected, host, port, limit=self._limits.head_bytes, backlog=64
        )
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def close(self) -> None:
        """End the listening and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            # A client that goes, or hangs, is its own affair.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # by close() only
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) > self._limits.connections:
            await self._refuse(writer, BadRequest(503, "too many connections"))
            return
        for _ in range(self._limits.requests):
            try:
                async with asyncio.timeout(self._limits.head_s):
                    request = parse_head(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.LimitOverrunError:
                await self._refuse(writer, BadRequest(431, "expected a shorter head"))
                return
            except BadRequest as problem:
                await self._refuse(writer, problem)
                return
            await self._send(writer, request, await self._reply(request))
            if not request.keep:
                break
        await self._finish(writer)

    async def _reply(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _problem(405, "expected GET or HEAD")
        return await self._answer(request) or _problem(404, "expected /healthz, /readyz or /metrics")

    async def _refuse(self, writer: asyncio.StreamWriter, problem: BadRequest) -> None:
        answer = _problem(problem.status, problem.detail)
        await self._send(writer, Request("GET", "", keep=False), answer)
        await self._finish(writer)

    async def _send(self, writer: asyncio.StreamWriter, request: Request, answer: Answer) -> None:
        head = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            f"Connection: {'keep-alive' if request.keep else 'close'}",
            *(["Allow: GET, HEAD"] if answer.status == HTTPStatus.METHOD_NOT_ALLOWED else []),
        ]
        body = b"" if request.method == "HEAD" else answer.body
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        async with asyncio.timeout(self._limits.write_s):
            await writer.drain()

    async def _finish(self, writer: asyncio.StreamWriter) -> None:
        """Close in order, so that a client still reads what was sent."""
        writer.close()
        async with asyncio.timeout(self._limits.write_s):
            await writer.wait_closed()


def _problem(status: int, detail: str) -> Answer:
    return Answer(status, msgspec.json.encode({"error": detail}) + b"\n")
