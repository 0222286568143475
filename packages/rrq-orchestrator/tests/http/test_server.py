"""The server on real sockets: what it answers, and what it does not put up with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rrq_orchestrator.http.request import Request
from rrq_orchestrator.http.server import Answer, HttpServer, Limits

pytestmark = pytest.mark.anyio
WITHIN_S = 30.0
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n"
BIG = b"x" * 4_000_000


async def _answer(request: Request) -> Answer | None:
    if request.path == "/big":
        return Answer(200, BIG, "text/plain")
    return Answer(200, b"hello", "text/plain") if request.path == "/a" else None


@asynccontextmanager
async def _serving(limits: Limits) -> AsyncIterator[int]:
    server = HttpServer(_answer, limits)
    _, port = await server.open("127.0.0.1", 0)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield port
    finally:
        await server.close()


async def _say(port: int, *parts: bytes) -> bytes:
    """Send, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
    heard = b""
    try:
        while more := await reader.read(65536):
            heard += more
    except ConnectionError:
        pass
    writer.close()
    return heard


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (GET + b"Connection: close\r\n\r\n", 200, b"hello"),
        (b"HEAD /a HTTP/1.0\r\n\r\n", 200, b""),
        (b"GET /b HTTP/1.0\r\n\r\n", 404, b"healthz"),
        (b"PUT /a HTTP/1.0\r\n\r\n", 405, b"GET or HEAD"),
        (b"nonsense\r\n\r\n", 400, b"expected a request line"),
        (b"POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\n", 413, b"without a body"),
        (GET + b"X: " + b"y" * 10_000 + b"\r\n\r\n", 431, b"shorter head"),
        (b"z" * 10_000, 431, b"shorter head"),
    ],
)
async def test_each_request_has_its_answer(request_bytes: bytes, status: int, body: bytes) -> None:
    """And the connection ends where another request could not be told from the rest of this one."""
    async with _serving(Limits()) as port:
        heard = await _say(port, request_bytes)
    head, _, rest = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert body in rest
    if not body:
        assert rest == b""
        assert b"Content-Length: 5" in head
    assert (b"Allow: GET, HEAD" in head) == (status == 405)


async def test_a_connection_is_used_again_and_not_for_ever() -> None:
    """Requests in one go are answered in their order, as many as the limit says."""
    async with _serving(Limits(requests=3)) as port:
        heard = await _say(port, *[GET + b"\r\n"] * 5)
    assert heard.count(b"HTTP/1.1 200 OK") == 3


async def test_a_client_that_says_nothing_is_let_go() -> None:
    """Neither is one that says a little now and then waited for."""
    async with _serving(Limits(head_s=0.2)) as port:
        assert await _say(port) == b""
        assert await _say(port, b"GET /a HT") == b""


async def test_a_client_that_does_not_read_is_let_go() -> None:
    """Its share of memory is free again, and others are served meanwhile."""
    server = HttpServer(_answer, Limits(write_s=0.2))
    _, port = await server.open("127.0.0.1", 0)
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.0\r\n\r\n")
        assert b"hello" in await _say(port, GET + b"Connection: close\r\n\r\n")
        while server._open:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
        # What was under way arrives, no more.
        heard = 0
        try:
            while more := await reader.read(65536):
                heard += len(more)
        except ConnectionError:
            pass
        assert heard < len(BIG)
        writer.close()
        await server.close()


async def test_too_many_connections_are_turned_away() -> None:
    """One that goes makes room."""
    async with _serving(Limits(connections=1)) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(GET)
        assert b"HTTP/1.1 503" in await _say(port)
        first.close()
        while b"200 OK" not in await _say(port, GET + b"Connection: close\r\n\r\n"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_close_ends_everything() -> None:
    """Open connections too, and the port is free."""
    server = HttpServer(_answer, Limits(head_s=600))
    _, port = await server.open("127.0.0.1", 0)
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"hello")
        await server.close()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
    again = HttpServer(_answer)
    assert await again.open("127.0.0.1", port) == ("127.0.0.1", port)
    await again.close()
