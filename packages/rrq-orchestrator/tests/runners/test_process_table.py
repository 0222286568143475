"""The kernel's table tells who is who's, and who is dead."""

import os
import subprocess
import sys

import pytest

from rrq_orchestrator.runners.process_table import marked, process_ids, read_entry

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the table is Linux's")


def test_our_own_entry() -> None:
    """Parent, group and session are those the system calls tell."""
    entry = read_entry(os.getpid())
    assert entry is not None
    assert entry[1:] == (os.getppid(), os.getpgid(0), os.getsid(0))
    assert os.getpid() in process_ids()


def test_a_dead_process_is_told_apart() -> None:
    """One that ended and was not reaped has its own state; afterwards there is no entry."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        entry = read_entry(process.pid)
        assert entry is not None
        assert entry.state == "Z"
    assert read_entry(process.pid) is None


def test_a_process_is_found_by_its_environment() -> None:
    """By a whole variable with its value; what its children were given counts as well."""
    with subprocess.Popen(["sleep", "600"], env={"MARK": "abc", "PATH": os.environ["PATH"]}) as process:
        assert list(marked(b"MARK=abc")) == [process.pid]
        assert list(marked(b"MARK=ab")) == []
        process.kill()
    assert list(marked(b"MARK=abc")) == []
