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


def _start(code: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True)


def _guarded(*orders: str) -> "subprocess.Popen[bytes]":
    """Give a guard its orders and let it find its pipe closed."""
    process = subprocess.Popen([sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write("".join(f"{order}\n" for order in orders).encode())
    return process


def test_groups_are_ended_and_the_command_is_run(tmp_path: Path) -> None:
    """Known groups get a SIGTERM, then the last command runs."""
    mark = tmp_path / "mark"
    stop = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    with _start(SLEEPER) as child:
        with _guarded(f"group {child.pid}", f"stop {json.dumps(stop)}") as process:
            assert child.wait(10) == -15
        assert process.returncode == 0
    assert mark.exists()


def test_what_is_gone_or_kept_is_left_alone(tmp_path: Path) -> None:
    """A group that was reported gone is not touched, a command that was taken back is not run."""
    mark = tmp_path / "mark"
    stop = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    with _start(SLEEPER) as child:
        _guarded(f"group {child.pid}", f"gone {child.pid}", f"stop {json.dumps(stop)}", "keep").wait(10)
        assert child.poll() is None
        child.kill()
    assert not mark.exists()


def test_a_brief_process_is_waited_for() -> None:
    """What must not be cut short ends by itself first."""
    with _start("import sys; print(1, flush=True); sys.stdin.read()", stdin=subprocess.PIPE) as child:
        with _guarded(f"await {child.pid}") as process:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            child.stdin.close()
            assert child.wait(10) == 0
        assert process.returncode == 0


def test_a_stubborn_group_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores SIGTERM gets SIGKILL after the grace; who is gone is no error."""
    with _start(STUBBORN) as child:
        assert child.stdout is not None
        child.stdout.readline()
        guard.end_groups([child.pid], 0.05)
        assert child.wait(10) == -9
    guard.end_groups([child.pid], 0.05)
