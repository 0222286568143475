"""Log lines that are written without waiting for the reader (RELIABILITY.md F93, F94)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rrq_orchestrator.log_writer import LogWriter


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def _report(count: int) -> str:
    return f"dropped {count}"


def _drain(fd: int) -> bytes:
    """Read what a pipe holds now."""
    os.set_blocking(fd, False)
    data = b""
    try:
        while piece := os.read(fd, 1 << 16):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_lines_arrive_in_order() -> None:
    """Every line, once, and complete; a text that cannot be encoded does not stop them."""
    with _pipe() as (reading, writing):
        writer = LogWriter(writing, _report)
        for number in range(100):
            writer.write(f"line {number}")
        writer.write("\ud800")
        assert writer.flush(5)
        writer.close()
        assert _drain(reading).splitlines() == [*(f"line {n}".encode() for n in range(100)), b"\\ud800"]
        assert writer.dropped == 0


def test_a_reader_that_stopped_blocks_nobody() -> None:
    """With the pipe full, writing stays quick; what does not fit is counted, and later reported."""
    with _pipe() as (reading, writing):
        writer = LogWriter(writing, _report, max_bytes=512 * 1024)
        line = "x" * 999
        began = time.monotonic()
        for _ in range(5000):
            writer.write(line)
        assert time.monotonic() - began < 2
        assert not writer.flush(0.05)
        assert writer.dropped > 4000
        os.set_blocking(writing, True)
        data = b""
        while not writer.flush(0.05):
            data += _drain(reading)
        writer.write("after")
        assert writer.flush(5)
        lines = (data + _drain(reading)).splitlines()
        dropped = writer.dropped
        writer.close()
        reports = [int(each.removeprefix(b"dropped ")) for each in lines if each.startswith(b"dropped ")]
        assert sum(reports) == dropped
        assert len(lines) == len(reports) + (5000 - dropped) + 1
        assert {*lines} - {b"dropped %d" % count for count in reports} == {line.encode(), b"after"}


def test_closing_does_not_wait_for_a_stopped_reader() -> None:
    """The end of the process is not held up by its log."""
    reading, writing = os.pipe()
    writer = LogWriter(writing, _report)
    for _ in range(1000):
        writer.write("x" * 999)
    began = time.monotonic()
    writer.close(0.1)
    assert time.monotonic() - began < 2
    os.close(reading)  # the stuck write ends with EPIPE, and with it the thread
    writer._thread.join(5)
    os.close(writing)
    writer.write("late")
    assert writer.dropped > 0


@pytest.mark.parametrize("broken", ["closed descriptor", "no reader"])
def test_a_lost_stream_is_no_error(broken: str) -> None:
    """Lines are dropped and counted; nothing is raised, and the thread goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    if broken == "closed descriptor":
        os.close(writing)
    writer = LogWriter(writing, _report)
    for number in range(3):
        writer.write("line")
        assert writer.flush(5)
        assert writer.dropped == number + 1
    writer.close()
    if broken != "closed descriptor":
        os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_no_error() -> None:
    """As with any failing write, the lines are counted."""
    fd = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(fd, _report)
    writer.write("line")
    assert writer.flush(5)
    assert writer.dropped == 1
    writer.close()
    os.close(fd)


def test_a_descriptor_without_blocking_loses_nothing() -> None:
    """Whoever shares the stream may have made it non-blocking; the thread waits for room."""
    with _pipe() as (reading, writing):
        os.set_blocking(writing, False)
        writer = LogWriter(writing, _report)
        for _ in range(500):
            writer.write("x" * 999)
        data = b""
        while not writer.flush(0.01):
            data += _drain(reading)
        data += _drain(reading)
        writer.close()
        assert data == (b"x" * 999 + b"\n") * 500
