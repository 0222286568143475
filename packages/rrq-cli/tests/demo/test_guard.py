"""The guard ends what is left when its pipe closes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rrq_cli.demo import guard

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)


def _start(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)


def _guarded(*orders: str) -> None:
    """Give a guard its orders and let it find its pipe closed."""
    text = "".join(f"{order}\n" for order in orders)
    done = subprocess.run(
        [sys.executable, "-I", "-S", guard.__file__], input=text.encode(), check=False, timeout=30
    )
    assert done.returncode == 0


def test_groups_are_ended_and_the_command_is_run(tmp_path: Path) -> None:
    """Known groups get a SIGTERM, then the last command runs."""
    mark = tmp_path / "mark"
    stop = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    with _start(SLEEPER) as child:
        _guarded(f"group {child.pid}", f"stop {json.dumps(stop)}")
        assert child.wait(10) == -15
    assert mark.exists()


def test_what_is_gone_or_kept_is_left_alone(tmp_path: Path) -> None:
    """A group that was reported gone is not touched, a command that was taken back is not run."""
    mark = tmp_path / "mark"
    stop = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    with _start(SLEEPER) as child:
        _guarded(f"group {child.pid}", f"gone {child.pid}", f"stop {json.dumps(stop)}", "keep")
        assert child.poll() is None
        child.kill()
    assert not mark.exists()


def test_a_stubborn_group_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores SIGTERM gets SIGKILL after the grace; who is gone is no error."""
    with _start(STUBBORN) as child:
        assert child.stdout is not None
        child.stdout.readline()
        guard.end_groups([child.pid], 0.05)
        assert child.wait(10) == -9
    guard.end_groups([child.pid], 0.05)
