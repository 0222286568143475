"""The public RRQ: a Rust orchestrator and a Python runner in one wheel, in an environment of its own."""

import subprocess
import sys
from pathlib import Path

from benchmarks.processes import free_ports
from benchmarks.systems.base import PROGRAMS, Load, System

__all__ = ["VERSION", "Public", "install"]

VERSION = "0.11.1"
PEERS = Path(__file__).resolve().parent.parent / ".peers"
INSTALLED_WITHIN_S = 300.0
MOST_PROCESSES, MOST_IN_FLIGHT = 64, 64


def install(requirement: str = f"rrq=={VERSION}") -> Path | str:
    """Make an environment with the public wheel, unless there is one.

    Returns:
        The folder of its commands, or one line that says why there is none.
    """
    folder = PEERS / requirement.replace("==", "-")
    commands = folder / "bin"
    if (commands / "rrq-runner").exists():
        return commands
    PEERS.mkdir(exist_ok=True)
    (PEERS / ".gitignore").write_text("*\n")
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "uv", "venv", "--quiet", "--clear", "--python", sys.executable, folder],
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            commands / "python",
            requirement,
        ],
    ]
    for step in steps:
        try:
            done = subprocess.run(
                step, capture_output=True, text=True, check=False, timeout=INSTALLED_WITHIN_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{requirement} could not be installed: {type(error).__name__}"
        if done.returncode != 0:
            reason = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
            return f"{requirement} could not be installed: {reason}"
    return commands


class Public(System):
    """The wheel ``rrq`` of the public line.

    Args:
        commands: Folder of its commands (:func:`install`).
    """

    key = "public"
    name = f"public RRQ {VERSION}"
    modes = ("one by one", "gathered")

    def __init__(self, commands: Path) -> None:
        self._commands = commands

    def takes(self, load: Load) -> bool:
        """Return whether it can be configured for such a load: it refuses more per runner process."""
        return load.in_flight is None or load.in_flight <= MOST_IN_FLIGHT

    def guess(self, load: Load) -> float:
        """Return what it did elsewhere: with its defaults it polls ten times a second."""
        return 4_000 if load.in_flight else 20

    def settings(self, url: str, load: Load) -> str:
        """Return settings that leave open whatever the load leaves open."""
        lines = ["[rrq]", f'redis_dsn = "{url}"', 'default_runner_name = "python"', "[rrq.runners.python]"]
        lines += ['type = "socket"', f'cwd = "{PROGRAMS}"']
        lines += [f'cmd = ["{self._commands / "rrq-runner"}", "--settings", "public_handlers.settings"]']
        lines += [f"tcp_port = {free_ports(load.processes or MOST_PROCESSES)}"]
        if load.processes is not None:
            lines.append(f"pool_size = {load.processes}")
        if load.in_flight is not None:
            lines.append(f"max_in_flight = {load.in_flight}")
        return "\n".join([*lines, ""])

    def worker_command(self, config: Path, load: Load) -> list[str | Path]:
        """Return the orchestrator's command; the wrapper becomes the binary, so the process is the same."""
        queues = [part for queue in load.queues for part in ("--queue", queue)]
        return [self._commands / "rrq", "worker", "run", "--config", config, *queues]

    def producer_command(self) -> list[str | Path]:
        """Return the command of ``programs/public.py``."""
        return [self._commands / "python", PROGRAMS / "public.py"]

    def environment(self) -> dict[str, str]:
        """Return what lets it find the handlers, and spares it a log line per job: it is to show its best."""
        return {"RUST_LOG": "warn", "PYTHONPATH": str(PROGRAMS)}
