"""Crash points: where a process dies, and that only a checkout knows them."""

import subprocess
import sys
from pathlib import Path

import pytest

from rrq_protocol.testing import make_reach

PROGRAM = """
import os
from rrq_protocol import Keyspace
from rrq_protocol.transitions import cancel
call = cancel(Keyspace(), "j")
for number in range(3):
    call.evalsha_args()
    print(number, flush=True)
    call.result(b"gone")
"""


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these variables."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("label", "printed"), [("cancel.before", 0), ("cancel.after", 1), ("cancel.after:3", 3)]
)
def test_a_process_dies_where_it_is_told_to(label: str, printed: int) -> None:
    """At the n-th time the label is reached, by SIGKILL."""
    done = run(RRQ_CRASH_AT=label)
    assert (done.returncode, len(done.stdout.split())) == (-9, printed)


def test_other_labels_do_nothing() -> None:
    """Nor does a process without the variables."""
    assert run(RRQ_CRASH_AT="claim.before").returncode == 0
    assert make_reach({}) is None


def test_a_wheel_knows_no_crash_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed from a wheel cannot be killed by a variable."""
    monkeypatch.setattr("rrq_protocol.testing.find_spec", lambda _: None)
    assert make_reach({"RRQ_CRASH_AT": "claim.before"}) is None
