"""Processes of a benchmark: started in groups of their own, measured through /proc, never left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["BenchmarkError", "Identity", "cpu_s", "descendants", "free_ports", "rss_mib", "running", "tail"]

LOOPBACK = "127.0.0.1"
STOPPED_WITHIN_S = 20.0
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """Something that is measured did not work; the text says what, and shows the end of its log."""


class Identity(NamedTuple):
    """A process, told apart from a later one with the same number."""

    pid: int
    started: str


def free_ports(count: int) -> int:
    """Return the first of ``count`` neighbouring loopback ports that were free a moment ago."""
    while True:
        with contextlib.ExitStack() as stack:
            first = _bound(stack, 0)
            if first + count > 65_535:
                continue
            with contextlib.suppress(OSError):
                for port in range(first + 1, first + count):
                    _bound(stack, port)
                return first


def _bound(stack: contextlib.ExitStack, port: int) -> int:
    probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    probe.bind((LOOPBACK, port))
    bound: int = probe.getsockname()[1]
    return bound


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty without such a process or /proc."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float | None:
    """Return the CPU seconds a process has used, None where the platform does not say.

    The scheduler's nanoseconds of the live threads are preferred to the 10 ms ticks of the whole process.
    """
    fields = _stat(pid)
    if not fields:
        return None
    ticks = (int(fields[11]) + int(fields[12])) / _TICKS
    precise = 0
    for path in (_PROC / str(pid) / "task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            precise += int(path.read_text().split()[0])
    # Threads that have ended are in the ticks alone.
    return max(precise / 1e9, ticks - 2 / _TICKS) if precise else ticks


def rss_mib(pid: int) -> float | None:
    """Return the resident memory of a process in MiB, None where the platform does not say."""
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if fields else None


def descendants(pid: int) -> list[Identity]:
    """Return the living children of a process, and theirs."""
    parents: dict[int, list[Identity]] = {}
    for path in _PROC.glob("[0-9]*"):
        fields = _stat(number := int(path.name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(Identity(number, fields[19]))
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child.pid)
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with its output in ``log``; end it and what it started when the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=_environment() | dict(env or {}),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _environment() -> dict[str, str]:
    """Return our environment without what would change the settings of the systems measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}


def _end(process: subprocess.Popen[bytes]) -> None:
    children = descendants(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    give_up = time.monotonic() + 1
    while any(map(_lives, children)) and time.monotonic() < give_up:
        time.sleep(0.01)
    for child in filter(_lives, children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)


def _lives(process: Identity) -> bool:
    fields = _stat(process.pid)
    return bool(fields) and fields[19] == process.started and fields[0] != "Z"


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a log, for a message."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""
