"""The demo's processes end with it, however it ends."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_cli.demo.children import Child, Children
from rrq_cli.demo.interrupts import Interrupts

SLEEPER = [sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)"]
DEMO = """
import os, subprocess, sys, time
from pathlib import Path
from rrq_cli.demo.children import Children
from rrq_cli.demo.interrupts import Interrupts
import fcntl
lock = os.open(".", os.O_RDONLY)
fcntl.flock(lock, fcntl.LOCK_EX)
with Interrupts() as interrupts, Children(interrupts, os.environ, Path.cwd(), lock) as children:
    children.stop_at_the_end([sys.executable, "-c", f"open({str(Path.cwd() / 'stopped')!r}, 'w')"])
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = children.start("sleeper", sleeper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(child.process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor for the guard to hold."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def _start(children: Children) -> Child:
    child = children.start("sleeper", SLEEPER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.process.stdout is not None
    child.process.stdout.readline()
    return child


def test_leaving_the_block_ends_everything(tmp_path: Path, lock: int) -> None:
    """Running processes get a SIGTERM, then the command for the end is run; each has a session of its own."""
    with Interrupts() as interrupts:
        with Children(interrupts, os.environ, tmp_path, lock) as children:
            child = _start(children)
            assert os.getsid(child.process.pid) == child.process.pid
            children.stop_at_the_end([sys.executable, "-c", "open('stopped', 'w')"])
        assert child.code() == -signal.SIGTERM
        child.process.communicate()
    assert (tmp_path / "stopped").exists()


def test_what_is_kept_is_kept(tmp_path: Path, lock: int) -> None:
    """After `keep` the command is not run; a process that was forgotten is left alone."""
    with Interrupts() as interrupts:
        with Children(interrupts, os.environ, tmp_path, lock) as children:
            children.stop_at_the_end([sys.executable, "-c", "open('stopped', 'w')"])
            children.keep()
            child = _start(children)
            children.forget(child)
        assert child.code() is None
        children.end(child)
        child.process.communicate()
    assert not (tmp_path / "stopped").exists()


def test_a_killed_demo_leaves_nothing(tmp_path: Path) -> None:
    """After kill -9 the guard ends the processes and runs the command; then it lets go of the lock."""
    with subprocess.Popen([sys.executable, "-c", DEMO], cwd=tmp_path, stdout=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        pid = int(demo.stdout.readline())
        demo.kill()
    # The guard holds the lock that the demo held, and lets go of it when it has done its work.
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    os.close(folder)
    assert (tmp_path / "stopped").exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_brief_process_is_not_cut_short(tmp_path: Path, lock: int) -> None:
    """What ends by itself soon is waited for when the block is left."""
    with Interrupts() as interrupts:
        with Children(interrupts, os.environ, tmp_path, lock) as children:
            code = "import time; time.sleep(0.2); open('done', 'w')"
            devnull = subprocess.DEVNULL
            child = children.start(
                "b", [sys.executable, "-c", code], stdout=devnull, stderr=devnull, brief=True
            )
        assert child.code() == 0
    assert (tmp_path / "done").exists()
