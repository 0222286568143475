"""Bytes go out as they stand, and come in cut into bodies."""

import asyncio

import pytest

from rrq_orchestrator.conformance.link import KEPT_BYTES, Link
from rrq_orchestrator.conformance.verdict import Finding

pytestmark = pytest.mark.anyio


async def test_bodies_come_in_order_and_then_the_end() -> None:
    """However they were split; after the last one, None."""
    link = Link(stdio=False)
    for byte in b"\0\0\0\1a\0\0\0\2bc":
        link.data_received(bytes([byte]))
    link.eof_received()
    assert [await link.body(1) for _ in range(3)] == [b"a", b"bc", None]
    assert await link.closed(1)


async def test_lines_are_bodies_too() -> None:
    """On stdio a message is a line."""
    link = Link(stdio=True)
    link.data_received(b"a\nb")
    assert await link.body(1) == b"a"
    assert link.framed(b"x") == b"x\n"


async def test_what_breaks_the_framing_is_found() -> None:
    """After the bodies before it."""
    link = Link(stdio=False)
    link.data_received(b"\0\0\0\1a\xff\xff\xff\xff")
    assert await link.body(1) == b"a"
    with pytest.raises(Finding, match="break the framing"):
        await link.body(1)


async def test_silence_is_found() -> None:
    """A wait has its limit; the connection is still open."""
    link = Link(stdio=False)
    with pytest.raises(Finding, match=r"nothing came within 0\.01 s"):
        await link.body(0.01)
    assert not await link.closed(0.01)


async def test_the_last_bytes_are_kept() -> None:
    """So many of each direction, the newest."""
    link = Link(stdio=False)
    link.send(b"x" * 1000)
    link.send(b"end")
    link.data_received(b"y" * 10)
    assert (len(link.sent), link.sent[-4:], link.received) == (KEPT_BYTES, b"xend", b"y" * 10)
    link.close()
    await asyncio.sleep(0)
    assert link.ended
