"""What runners print is relayed as values, cut, bounded in rate, and never holds them up."""

import os
from typing import Any

import anyio
import pytest

from rrq_orchestrator.runners.output import MAX_LINE_BYTES, OutputLimits, OutputRelay
from support.runner_pools import PATIENCE_S, Recorder, bench, capturing_log

pytestmark = pytest.mark.anyio


async def relayed(*chunks: bytes, limits: OutputLimits | None = None) -> list[dict[str, Any]]:
    """Return the events that come of a stream in these pieces."""
    log, logs = capturing_log()
    relay = OutputRelay(log, "stdout", limits)
    for chunk in chunks:
        relay.data_received(chunk)
    relay.connection_lost(None)
    assert relay.closed.is_set()
    return [dict(entry) for entry in logs.entries]


async def test_lines_are_put_together() -> None:
    """A line is one event, however it came; the last one needs no end; blank ones are skipped."""
    events = await relayed(b"one\ntw", b"o\r\n\n  \nthr", b"ee")
    assert [event["line"] for event in events] == ["one", "two", "three"]
    assert {event["event"] for event in events} == {"runner.output"}
    assert {event["stream"] for event in events} == {"stdout"}


async def test_json_is_nested_and_cannot_pass_for_ours() -> None:
    """An object on a line is nested under one key: level, event and time of ours stay ours (S7)."""
    (event,) = await relayed(b'{"event":"forged","log_level":"error","runner":"x"}\n')
    assert event["event"] == "runner.output"
    assert event["log_level"] == "info"
    assert event["runner_event"] == {"event": "forged", "log_level": "error", "runner": "x"}
    (nearly,) = await relayed(b'{"event":\n')
    assert nearly["line"] == '{"event":'
    (deep,) = await relayed(b'{"a":' * 5000 + b"\n")
    assert deep["line"].startswith('{"a":')


async def test_binary_output_is_made_text() -> None:
    """Bytes that are no UTF-8 are replaced, control characters stay in the value."""
    (event,) = await relayed(b"\xff\x00\x1b[2J\n")
    assert event["line"] == "�\x00\x1b[2J"


async def test_long_lines_come_in_pieces() -> None:
    """A piece has 64 KiB at most; all but the last of a line are marked, and no other line is lost (F78)."""
    chunks = [b"x" * 50_000] * 20
    events = await relayed(*chunks, b"tail\nnext\n")
    lines = [event["line"] for event in events]
    assert [len(line) for line in lines] == [MAX_LINE_BYTES] * 15 + [16_964, 4]
    assert "".join(lines) == "x" * 1_000_000 + "tailnext"
    assert [event.get("truncated", False) for event in events] == [True] * 15 + [False] * 2


async def test_a_cut_goes_between_characters() -> None:
    """Pieces of a text in UTF-8 are texts."""
    text = "a" + "é€😀" * 20
    events = await relayed(text.encode() + b"\n", limits=OutputLimits(line_bytes=10))
    assert "".join(event["line"] for event in events) == text


async def test_an_unfinished_line_is_relayed_while_it_is_printed() -> None:
    """What stands for a second without a newline is told; its rest follows."""
    log, logs = capturing_log()
    relay = OutputRelay(log, "stdout")
    relay.data_received(b"loading")
    await Recorder().until(lambda: logs.entries)
    relay.data_received(b" done\nnext\n")
    relay.connection_lost(None)
    assert [(entry["line"], entry.get("truncated")) for entry in logs.entries] == [
        ("loading", True),
        (" done", None),
        ("next", None),
    ]


async def test_what_is_dropped_is_told_while_the_stream_is_open() -> None:
    """Once the second is over, whether anything more comes or not."""
    log, logs = capturing_log()
    relay = OutputRelay(log, "stdout", OutputLimits(lines_per_second=1))
    relay.data_received(b"line\n" * 3)
    await Recorder().until(lambda: len(logs.entries) >= 2)
    assert (logs.entries[-1]["event"], logs.entries[-1]["lines"]) == ("runner.output_dropped", 2)
    relay.connection_lost(None)
    assert len(logs.entries) == 2


async def test_too_many_lines_are_counted_not_relayed() -> None:
    """Beyond the rate lines are dropped, and how many is told."""
    limits = OutputLimits(lines_per_second=10)
    events = await relayed(b"line\n" * 1000, limits=limits)
    assert [event["event"] for event in events].count("runner.output") == 10
    assert events[-1] == {
        "event": "runner.output_dropped",
        "log_level": "warning",
        "stream": "stdout",
        "lines": 990,
        "bytes": 990 * 4,
    }


async def test_the_tail_keeps_the_last_lines() -> None:
    """The last twenty lines are kept, shortened."""
    relay = OutputRelay(capturing_log()[0], "stderr")
    relay.data_received(b"".join(b"%d\n" % number for number in range(30)) + b"y" * 5000 + b"\n")
    assert relay.tail[0] == "11"
    assert len(relay.tail) == 20
    assert len(relay.tail[-1]) == 500


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_flood_does_not_hold_up_the_handler(stream: str) -> None:
    """A handler that prints 30 MiB without a newline, and then many lines, completes (F78)."""
    async with bench() as pool:
        await pool.ready()
        assert await pool.result("r1", "print", stream=stream, text="x" * 1024, times=30 * 1024) is None
        assert await pool.result("r2", "print", stream=stream, text="line\n", times=200_000) is None
        await pool.recorder.until(lambda: pool.events("runner.output"))
        event = pool.events("runner.output")[0]
        assert event["truncated"] is True
        assert event["runner"] == "fake"
        assert event["slot"] == 0
        assert event["pid"] in pool.runner.pids()
        assert event["stream"] == stream
        assert len(pool.logs.entries) < 20_000


async def test_output_may_go_to_our_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """With `capture_runner_output = false` the text comes out on our stderr, not as an event."""
    async with bench(capture_runner_output=False) as pool:
        await pool.ready()
        await pool.result("r1", "print", text="straight through\n")
        with anyio.fail_after(PATIENCE_S):
            said = ""
            while "straight through" not in said:
                said += capfd.readouterr().err
                await anyio.sleep(0.01)
        assert pool.events("runner.output") == []
    assert os.fstat(2)
