"""The demo whole: real processes, real files, and nothing left behind however it ends."""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rrq_cli.demo import flow
from rrq_cli.demo.display import Display
from rrq_cli.demo.interrupts import Interrupts
from rrq_cli.demo.plan import DemoPlan
from rrq_cli.exits import CliError
from support.cli import Answer

pytestmark = pytest.mark.slow

GONE_WITHIN_S = 20.0


class Demo:
    """A folder to run demos in."""

    def __init__(self, folder: Path) -> None:
        # Short: a Unix socket's path may be a hundred bytes.
        self.folder, self.source = folder / "w", folder / "s"
        self.folder.mkdir()
        self.source.mkdir()
        for number in range(30):
            body = "".join(f"    x = {line}\n" for line in range(number + 1))
            (self.source / f"m{number}.py").write_text(f"def f{number}():\n{body}")
        (self.source / "broken.py").write_text("def broken(:\n")
        (self.source / "odd\x1b[2J.py").write_text("also broken(\n")
        (self.source / "no_python.txt").write_text("x")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}
        self.environment = {**kept, "COLUMNS": "80", "NO_COLOR": "1"}

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Start a demo."""
        command = [
            sys.executable,
            "-m",
            "rrq_cli",
            "demo",
            "--files",
            str(self.source),
            "--processes",
            "2",
            *args,
        ]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str) -> Answer:
        """Run a demo to its end."""
        with self.start(*args) as process:
            out, err = process.communicate(timeout=120)
        return Answer(process.returncode, out, err)

    def rrq(self, *args: str) -> Answer:
        """Run another command in the folder."""
        done = subprocess.run(
            [sys.executable, "-m", "rrq_cli", *args],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def left(self) -> list[str]:
        """Return the processes and sockets that have to do with the folder."""
        found = [str(path) for path in self.folder.rglob("*.sock")]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    place = str((entry / "cwd").readlink())
                    if str(self.folder.parent) in command or place.startswith(str(self.folder.parent)):
                        found.append(command)
        return found

    def wait_until_begun(self) -> None:
        """Wait until a demo's folder is there: before, the interpreter itself may still be starting."""
        give_up = time.monotonic() + GONE_WITHIN_S
        while not (self.folder / ".rrq").exists():
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def client(self) -> "redis.Redis":
        """Return a client of the server in the folder."""
        return redis.Redis(unix_socket_path=str(self.folder / ".rrq" / "redis.sock"))

    def holds_jobs(self) -> bool:
        """Return whether the orchestrator of a demo holds jobs now."""
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return any(client.zcard(key) for key in client.scan_iter("rrq:active:jobs:*"))
        return False

    def wait_until_working(self) -> None:
        """Wait until an orchestrator holds jobs of a demo."""
        give_up = time.monotonic() + GONE_WITHIN_S
        while not self.holds_jobs():
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def freeze_with_jobs_in_hand(self) -> None:
        """Stop the orchestrator so that it holds jobs while it is stopped, and not only shortly before."""
        give_up = time.monotonic() + GONE_WITHIN_S
        orchestrator = self.pid_of("orchestrator")
        while True:
            os.kill(orchestrator, signal.SIGSTOP)
            # A call it sent may be on its way still.
            if all(self.holds_jobs() for _ in range(20)):
                return
            os.kill(orchestrator, signal.SIGCONT)
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def pid_of(self, part: str) -> int:
        """Return the process id of the demo's orchestrator, or of its server."""
        if part == "server":
            return int(json.loads((self.folder / ".rrq" / "server.json").read_text())["pid"])
        with self.client() as client:
            (report,) = (client.get(key) for key in client.scan_iter("rrq:health:worker:*"))
        return int(json.loads(report or b"")["pid"])

    def wait_until_gone(self) -> None:
        """Wait until nothing is left; there is no event for the end of a stranger's process."""
        give_up = time.monotonic() + GONE_WITHIN_S
        while left := self.left():
            assert time.monotonic() < give_up, left
            time.sleep(0.05)


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Return a place for demos; a server that is left running is stopped."""
    place = Demo(tmp_path_factory.mktemp("d"))
    yield place
    place.rrq("embedded", "stop")
    place.wait_until_gone()


def test_every_file_once_and_again(demo: Demo) -> None:
    """Each file is processed exactly once, broken ones are dead letters, and the printed commands work.

    Slow: it starts a server, an orchestrator, runners and a producer, twice.
    """
    answer = demo.run("--json")
    assert (answer.code, answer.err) == (0, "")
    result = answer.json
    assert (result["files"], result["completed"], result["dead_lettered"]) == (32, 30, 2)
    assert (result["retried"], result["exactly_once"], result["findings"]) == (4, True, [])
    assert [function["name"] for function in result["largest_functions"]] == [
        f"f{n}" for n in range(29, 19, -1)
    ]
    assert [Path(dead["path"]).name for dead in result["dlq"]] == ["broken.py", "odd\x1b[2J.py"]
    assert not any("rrq_orchestrator" in process or "rrq_runner" in process for process in demo.left())

    for name in ("queue", "trace", "dlq"):
        done = subprocess.run(
            result["commands"][name], shell=True, cwd=demo.folder, env=demo.environment, check=False
        )
        assert done.returncode == 0, name
    stats = demo.rrq("queue", "stats", "--queue", "demo", "--json").json["queues"][0]
    assert (stats["totals"]["completed"], stats["totals"]["failed"]) == (30, 2)

    answer = demo.run()
    assert answer.code == 0
    assert "Valkey" in answer.out
    assert "found running" in answer.out
    assert "32 jobs of an earlier demo deleted" in answer.out
    assert "each processed exactly once" in answer.out
    assert "30 completed + 2 dead letters" in answer.out
    assert not answer.controls
    subprocess.run(result["commands"]["stop"], shell=True, cwd=demo.folder, env=demo.environment, check=True)
    demo.wait_until_gone()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_at_any_point_it_leaves_nothing(demo: Demo, name: signal.Signals, rng: random.Random) -> None:
    """Whenever the signal comes, no process and no socket is left, and the next demo runs as ever.

    Slow: it starts everything, several times.
    """
    for _ in range(2 if name is signal.SIGINT else 1):
        delay = rng.uniform(0, 2.0)
        shutil.rmtree(demo.folder / ".rrq", ignore_errors=True)
        with demo.start("--json") as process:
            demo.wait_until_begun()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)  # chosen at random: that it is any point is what is tested
            ended = process.poll() is not None
            process.send_signal(name)
            out, err = process.communicate(timeout=60)
        print(f"{name.name} after {delay:.3f} s: {process.returncode} {err.strip()}")
        assert "Traceback" not in err
        if process.returncode == 0 or ended:
            assert json.loads(out)["exactly_once"]
            demo.rrq("embedded", "stop")
        elif name is not signal.SIGKILL:
            assert (process.returncode, out) == (128 + name, "")
            assert "nothing of it is left running" in err
            assert demo.left() == []
        demo.wait_until_gone()
    again = demo.run("--json")
    assert again.err == ""
    assert again.json["exactly_once"]


@pytest.mark.parametrize("victim", ["orchestrator", "server"])
def test_what_a_killed_part_left_is_cleared_away(demo: Demo, victim: str) -> None:
    """Long after a part was killed, when nothing but the leases tells of it, the next demo is as any other.

    Slow: it starts everything, twice, and waits for a lease to run out.
    """
    for number in range(800):
        (demo.source / f"more{number}.py").write_text("def f():\n    pass\n" * 40)
    with demo.start("--json") as process:
        demo.wait_until_working()
        if victim == "orchestrator":
            demo.freeze_with_jobs_in_hand()
        os.kill(demo.pid_of(victim), signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert demo.rrq("embedded", "start").code == 0
    with demo.client() as client:
        assert client.delete(*client.scan_iter("rrq:health:worker:*")) == 1  # it has expired by then
        assert [client.zcard(key) > 0 for key in client.scan_iter("rrq:active:jobs:*")] == [True]
    answer = demo.run("--json")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["files"], answer.json["exactly_once"]) == (832, True)
    with demo.client() as client:
        assert client.zcard("rrq:workers") == client.zcard("rrq:reaping") == 0


def test_exported_variables_lead_nothing_astray(demo: Demo) -> None:
    """In a shell whose variables mean another Redis, the demo and its commands use the demo's own.

    Slow: it starts everything.
    """
    demo.environment |= {"RRQ_REDIS_DSN": "redis://127.0.0.1:1/0", "RRQ_KEY_PREFIX": "other"}
    answer = demo.run("--json")
    assert (answer.code, answer.err) == (0, "")
    for name, command in answer.json["commands"].items():
        done = subprocess.run(
            command,
            shell=True,
            cwd=demo.folder,
            env=demo.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (name, done.stderr)
        assert name == "stop" or answer.json["dlq"][0]["job_id"] in done.stdout or "demo" in done.stdout
    demo.wait_until_gone()


def test_two_demos_in_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one runs, a second one in the same folder waits a little, then says so and starts nothing."""
    monkeypatch.setattr(flow, "_EARLIER_WITHIN_S", 0.05)
    plan = DemoPlan(tmp_path, tmp_path, 1)
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Interrupts() as interrupts, pytest.raises(CliError, match="another demo runs in"):
        flow.run_demo(plan, Display(), interrupts)
    os.close(lock)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_start_is_told(demo: Demo) -> None:
    """A folder that holds somebody else's files is refused with the reason, and nothing is left.

    Slow: it starts processes.
    """
    (demo.folder / ".rrq").mkdir()
    (demo.folder / ".rrq" / "thesis.txt").write_text("x")
    answer = demo.run()
    assert answer.code == 1
    assert "could not be started" in answer.err
    demo.wait_until_gone()
