"""What handlers have started goes with the runner, when nobody else sees to that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a table of processes")

# Leads a session of its own, starts a family, tells the ids of its members and ends them when it is told to.
CHILD = """
import os, subprocess, sys, threading
from rrq_runner.offspring import end_offspring

def started(script, **options):
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, **options)
    return [child.pid, *map(int, child.stdout.readline().split())]

pids = [subprocess.Popen(["sleep", "600"]).pid]
pids += started("echo; exec sleep 600", start_new_session=True)
pids += started("sleep 600 & sleep 600 & echo $!; wait", start_new_session=True)
pids += started("(sleep 600 & echo $!)", process_group=0)
if sys.argv[1] == "stubborn":
    forking = "trap '' TERM INT HUP; while :; do sleep 0.01; done & echo $!; wait"
    pids += started(forking, start_new_session=True)
print(*pids, flush=True)
sys.stdin.readline()
print(end_offspring(), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["docile", "stubborn"])
def test_the_whole_family_is_ended(kind: str) -> None:
    """Children, theirs, those in sessions of their own, and orphans of the own session; what forks again and
    again has no time to. The process itself goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pids = [int(text) for text in process.stdout.readline().split()]
        assert len(pids) >= 6
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "True\n"
        wait_until_gone(pids)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(10) == 0


def test_nobody_else_is_ended(tmp_path: Path) -> None:
    """A process that leads no session leaves its neighbours alone."""
    code = "from rrq_runner.offspring import end_offspring; print(end_offspring())"
    with subprocess.Popen(["sleep", "600"]) as neighbour:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout == "True\n"
        assert neighbour.poll() is None
        assert os.getsid(neighbour.pid) == os.getsid(0)
        neighbour.kill()
