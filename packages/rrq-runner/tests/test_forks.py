"""A handler whose forked child comes back from it."""

import subprocess
import sys

import pytest

CODE = """
import os, sys
from rrq_runner.forks import leave_forked_child

class Unprintable:
    def __str__(self):
        raise ValueError

print("said", end="")
leave_forked_child(eval(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ("None", 0, ""),
        ("SystemExit()", 0, ""),
        ("SystemExit(7)", 7, ""),
        ("SystemExit(-1)", 255, ""),
        ("SystemExit('no more')", 1, "no more"),
        ("SystemExit(Unprintable())", 1, ""),
        ("ValueError('bad')", 1, "ValueError: bad"),
        ("KeyboardInterrupt()", 1, "KeyboardInterrupt"),
    ],
)
def test_it_ends_as_a_program_of_its_own_would(error: str, code: int, text: str) -> None:
    """Exit code and stderr are those of a program; what it printed is not lost."""
    done = subprocess.run([sys.executable, "-c", CODE, error], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "said")
    assert text in done.stderr


def test_a_closed_stream_does_not_keep_it() -> None:
    """There is always an end, whatever the child has done to its streams."""
    code = (
        "import sys\n"
        "from rrq_runner.forks import leave_forked_child\n"
        "sys.stdout.close()\n"
        "sys.stderr = None\n"
        "leave_forked_child(ValueError())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 1
