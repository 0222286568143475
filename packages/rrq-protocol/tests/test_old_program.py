"""Programs of the first library, started as they are."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import beside
from rrq.settings import RRQSettings
print(__name__, sys.argv[1:], beside.found, RRQSettings.__name__)
"""


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "default", "-m", "rrq_protocol.old_program", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_a_program_runs_as_it_is(tmp_path: Path) -> None:
    """It is the main module, has its arguments, finds what is beside it, and is told of its old imports."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "program.py").write_text(PROGRAM)
    (tmp_path / "old" / "beside.py").write_text("found = True\n")
    done = _run(tmp_path, "old/program.py", "--one", "2")
    assert (done.returncode, done.stdout) == (0, "__main__ ['--one', '2'] True RRQSettings\n")
    assert "program.py:4: DeprecationWarning: rrq.settings is of an earlier version" in done.stderr


def test_without_a_program_it_says_how(tmp_path: Path) -> None:
    """The usage, and exit code 1."""
    done = _run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m rrq_protocol.old_program PROGRAM.py")
