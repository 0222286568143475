"""A managed runner knows its parent."""

import os
import subprocess
import sys
import time

import pytest

from rrq_protocol import EndpointError
from rrq_runner.parent import CONTROL_FD_VARIABLE, PARENT_PID_VARIABLE, watch_parent
from support.processes import wait_until_gone

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


# A parent with a runner whose handlers have started processes; killed, it leaves all of them behind.
FAMILY = """
import os, subprocess, sys
sleeper = ["sleep", "600"]
child = (
    "import os, subprocess, sys, threading\\n"
    "from rrq_runner.parent import watch_parent\\n"
    "watch = watch_parent(os.environ)\\n"
    "pids = [os.getpid(), subprocess.Popen(['sleep', '600']).pid]\\n"
    "pids.append(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)\\n"
    "double = subprocess.Popen(['sh', '-c', 'sleep 600 & echo $!'], stdout=subprocess.PIPE)\\n"
    "pids.append(int(double.stdout.readline()))\\n"
    "print(*pids, flush=True)\\n"
    "threading.Event().wait(600)\\n"
)
reading, writing = os.pipe()
env = dict(os.environ, RRQ_RUNNER_CONTROL_FD=str(reading))
subprocess.Popen([sys.executable, "-c", child], env=env, pass_fds=(reading,), start_new_session=True)
os.close(reading)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a table of processes")
def test_what_handlers_started_goes_with_a_killed_parent() -> None:
    """SIGKILL of the parent ends the runner, its children, those in sessions of their own, and orphans of its
    session, within two seconds (F21, F22)."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(text) for text in process.stdout.readline().split()]
        assert len(pids) == 4
        process.kill()
        started = time.monotonic()
        wait_until_gone(pids)
        assert time.monotonic() - started < 2
