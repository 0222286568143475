"""A managed runner knows its parent."""

import os
import subprocess
import sys

import pytest

from rrq_protocol import EndpointError
from rrq_runner.parent import CONTROL_FD_VARIABLE, PARENT_PID_VARIABLE, watch_parent

# Says that it lives, then waits for ever; what ends it is the subject.
CHILD = """
import os, sys, threading
from rrq_runner.parent import watch_parent
watch = watch_parent(os.environ)
if watch is not None:
    watch.on_death = lambda: print("told", flush=True)
print("alive", watch is not None, sorted(each for each in os.environ if each.startswith("RRQ_")), flush=True)
threading.Event().wait(20)
"""


def child(env: dict[str, str], **options: object) -> "subprocess.Popen[str]":
    """Start a process that watches its parent."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return] # the options are few and known
        [sys.executable, "-c", CHILD], env=clean | env, stdout=subprocess.PIPE, text=True, **options
    )


def test_a_runner_started_by_hand_has_no_parent_to_watch() -> None:
    """Without the variables nothing is tied, so that it survives its shell."""
    assert watch_parent({}) is None


@pytest.mark.parametrize("name", [CONTROL_FD_VARIABLE, PARENT_PID_VARIABLE])
def test_bad_variables_are_explained(name: str) -> None:
    """A value that is no number is named."""
    with pytest.raises(EndpointError, match=f"{name}: expected a number, got 'x'"):
        watch_parent({name: "x"})


def test_a_descriptor_that_is_not_open_is_explained() -> None:
    """The text says how to pass it on."""
    with pytest.raises(EndpointError, match=r"999 is no open descriptor; pass the pipe on \(pass_fds\)"):
        watch_parent({CONTROL_FD_VARIABLE: "999"})


def test_the_end_of_the_control_pipe_ends_the_runner() -> None:
    """It is told, and gone a moment later, though its parent lives (F21)."""
    reading, writing = os.pipe()
    with child({CONTROL_FD_VARIABLE: str(reading)}, pass_fds=(reading,)) as process:
        os.close(reading)
        assert process.stdout is not None
        assert process.stdout.readline() == "alive True []\n"
        assert process.poll() is None
        os.close(writing)
        assert process.stdout.readline() == "told\n"
        assert process.wait(10) == 3


def test_another_parent_than_announced_ends_the_runner() -> None:
    """The orchestrator died before the watch began: somebody else is the parent by now."""
    with child({PARENT_PID_VARIABLE: "1"}) as process:
        assert process.wait(10) == 3


def test_the_right_parent_is_accepted() -> None:
    """The process goes on, and its own children will not misread the variables."""
    with child({PARENT_PID_VARIABLE: str(os.getpid())}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "alive True []\n"
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal when a parent ends")
def test_the_kernel_ends_the_runner_with_its_parent() -> None:
    """A parent killed without warning takes the runner along, though the pipe stays open elsewhere."""
    middle = (
        "import os, subprocess, sys\n"
        f"env = dict(os.environ, {PARENT_PID_VARIABLE}=str(os.getpid()))\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], env=env, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", middle, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pidfd = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        import select

        ended, _, _ = select.select([pidfd], [], [], 10)
        os.close(pidfd)
        assert ended
