"""`examples/integration_test.py`, as somebody calls it."""

import subprocess
import sys

import pytest
import redis

from rrq_protocol import Keyspace
from support.rules import ROOT

SCRIPT = ROOT / "examples" / "integration_test.py"
BROKEN = f"""
import runpy, sys
sys.path.insert(0, "tests")
from support.scenarios import SCENARIOS
SCENARIOS.clear()
SCENARIOS["broken"] = lambda road, runner: 1 / 0
sys.argv = ["integration_test.py", "--count", "5", "--only", "python"]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_all_scenarios_on_a_redis_of_its_own() -> None:
    """Each is told, and in the table; the exit code is 0. Also as a module."""
    done = _run("-m", "examples.integration_test", "--count", "5", "--only", "python")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "python: success: 5 ok" in done.stdout
    assert "clean end     ok" in done.stdout
    assert "all as it should be" in done.stdout


def test_a_failure_is_the_exit_code() -> None:
    """And stands in the table; what comes after is tried all the same."""
    done = _run("-c", BROKEN)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "python: broken: ZeroDivisionError" in done.stdout
    assert "failed: python: broken" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"), [((), "--flush empties it"), (("--only", "cobol"), "cobol: expected python")]
)
def test_what_is_there_is_not_flushed(
    options: tuple[str, ...], said: str, redis_url: str, redis_client: redis.Redis, keyspace: Keyspace
) -> None:
    """A database that holds keys is refused unless told what to do; so is a language that is none."""
    key = f"{keyspace.prefix}:precious"
    redis_client.set(key, "x")
    done = _run(str(SCRIPT), "--count", "5", "--redis-dsn", redis_url, *(options or ("--only", "python")))
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert redis_client.get(key) == b"x"
