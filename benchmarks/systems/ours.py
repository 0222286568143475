"""RRQ of this checkout."""

import sys
from pathlib import Path

from benchmarks.systems.base import PROGRAMS, Load, System

__all__ = ["Ours"]


class Ours(System):
    """The five wheels of this repository, run from the environment the benchmarks run in."""

    key = "rrq"
    name = "RRQ"
    modes = ("one by one", "blocking", "gathered", "bulk")

    def guess(self, load: Load) -> float:
        """Return a low guess; the rounds after the first go by what was measured."""
        return 15_000

    def settings(self, url: str, load: Load) -> str:
        """Return settings that leave open whatever the load leaves open."""
        lines = ["[rrq]", f'redis_dsn = "{url}"', "[rrq.runners.python]", 'app = "ours_handlers:registry"']
        lines += [f'cwd = "{PROGRAMS}"']
        if load.processes is not None:
            lines.append(f"pool_size = {load.processes}")
        if load.in_flight is not None:
            lines.append(f"max_in_flight = {load.in_flight}")
        return "\n".join([*lines, ""])

    def worker_command(self, config: Path, load: Load) -> list[str | Path]:
        """Return the daemon's command."""
        queues = [part for queue in load.queues for part in ("--queue", queue)]
        return [sys.executable, "-m", "rrq_orchestrator", "--config", config, *queues]

    def producer_command(self) -> list[str | Path]:
        """Return the command of ``programs/ours.py``."""
        return [sys.executable, PROGRAMS / "ours.py"]
