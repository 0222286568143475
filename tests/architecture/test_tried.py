"""What a run tried is printed where people and CI look."""

import os
import subprocess
import sys
from pathlib import Path

from support.tried import MARK

ROOT = Path(__file__).parents[2]
TEST = '''
"""Two tests that say what they tried."""
def test_a(tried):
    """Says a line, and counts."""
    tried.say("a line")
    tried.count("deaths", 2)
def test_b(tried):
    """Counts on."""
    tried.count("deaths", 1500)
'''


def test_what_was_tried_is_told_at_the_end(tmp_path: Path) -> None:
    """Also of tests that pass, and quietly, with the seed; pytest's own last line stays the last."""
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "RRQ_TEST_SEED": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    told = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    assert told == ["with RRQ_TEST_SEED=7", "a line", "deaths: 1,502"], done.stdout + done.stderr
    assert lines[-1].startswith("2 passed")


def test_ci_shows_it() -> None:
    """Of runs whose other lines it keeps to itself."""
    assert f"grep '^{MARK}'" in (ROOT / ".ci" / "run").read_text()
