"""Closed standard streams: told once, never a traceback, and no socket in their place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rrq_cli.streams import complain, is_closed, keep_standard_streams, silence_stdout
from support.cli import Answer, World


def _closing(world: World, closed: str, *args: str) -> Answer:
    """Call ``rrq`` from a shell that closes streams first."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "rrq_cli", *args],
        env=world.environment,
        cwd=world.folder,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    "args", [("queue", "list"), ("queue", "list", "--json"), ("--help",), ("--version",), ("demo",)]
)
def test_nowhere_to_write_is_1(world: World, args: tuple[str, ...]) -> None:
    """What cannot be printed is a failure, told where messages go; the demo leaves nothing behind."""
    answer = _closing(world, ">&-", *args)
    assert (answer.code, answer.out, answer.err) == (1, "", "rrq: standard output is closed\n")
    assert not (world.folder / ".rrq" / "server.json").exists()


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_other_streams_are_not_needed(world: World, closed: str) -> None:
    """Without standard input or standard error an answer comes as ever."""
    world.enqueue(queue_name="media")
    answer = _closing(world, closed, "queue", "list", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["queues"][0]["name"] == "media"


@pytest.mark.parametrize("args", [("job", "show", "gone"), ("nonsense",), ("queue", "inspect", "a b")])
def test_messages_go_where_they_can_be_read(world: World, args: tuple[str, ...]) -> None:
    """Without standard error a message is printed on standard output; without both the exit code is left."""
    usual = _closing(world, "", *args)
    without = _closing(world, "2>&-", *args)
    assert (without.code, without.out, without.err) == (usual.code, usual.err, "")
    neither = _closing(world, ">&- 2>&-", *args)
    assert (neither.code, neither.out, neither.err) == (usual.code, "", "")


def test_a_full_error_stream_changes_no_exit_code(world: World) -> None:
    """A message that cannot be written is lost, quietly."""
    assert _closing(world, "2>/dev/full", "nonsense").code == 2


def test_open_streams_are_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Where all is open nothing is replaced, and messages go to standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    keep_standard_streams()
    assert (sys.stdin, sys.stdout, sys.stderr) == streams
    assert not any(is_closed(fd) for fd in range(3))
    complain("rrq: x")
    assert capfd.readouterr() == ("", "rrq: x\n")


def test_what_nobody_can_take_is_dropped() -> None:
    """Afterwards writing to standard output does nothing."""
    kept = os.dup(1)
    try:
        silence_stdout()
        assert os.path.samestat(os.fstat(1), Path(os.devnull).stat())
    finally:
        os.dup2(kept, 1)
        os.close(kept)
