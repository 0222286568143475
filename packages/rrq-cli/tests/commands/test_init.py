"""`rrq init`, and the project it writes."""

import subprocess
import sys
import tempfile
from pathlib import Path

from support.cli import World
from support.processes import Command


def test_init(world: World) -> None:
    """Files and next steps, for people and for programs; a second time is refused."""
    answer = world.rrq("init", "new app")
    assert answer.code == 0
    assert answer.out == (
        "written: rrq.toml, handlers.py, enqueue.py, .gitignore\n"
        "next:\n"
        "  cd 'new app'\n"
        "  rrq dev\n"
        "  python enqueue.py  # in another terminal\n"
    )
    answer = world.rrq("init", "new app")
    assert (answer.code, answer.out) == (1, "")
    assert "rrq.toml, handlers.py and enqueue.py are there already" in answer.err
    found = world.rrq("init", "--json").json
    assert found["written"] == ["rrq.toml", "handlers.py", "enqueue.py", ".gitignore"]
    assert found["commands"][0] == "rrq dev"
    assert world.rrq("init", "x", "--config", "rrq.toml").code == 2


def test_the_project_runs(world: World) -> None:
    """What was written is a project: `rrq dev` starts it, the producer gets its answer."""
    # The path of the server's socket has to be short.
    with tempfile.TemporaryDirectory(prefix="rrq-test-", dir="/tmp") as name:
        folder = Path(name)
        world.folder = folder
        assert world.rrq("init", ".").code == 0
        settings = folder / "rrq.toml"
        settings.write_text(settings.read_text() + "pool_size = 1\n")  # enough, and quicker
        with Command("rrq_cli", "dev", cwd=folder) as dev:
            dev.wait_for("after=ready")
            environment = {
                key: value for key, value in world.environment.items() if not key.startswith("RRQ_")
            }
            done = subprocess.run(
                [sys.executable, "enqueue.py"],
                cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            assert (done.stdout, done.stderr) == ("Hello, World! This was attempt 1.\n", "")
            dev.kill(2)
            assert dev.code() == 0
