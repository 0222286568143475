"""A system under measurement: how its orchestrator is started, and how its producer is driven."""

import contextlib
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import BenchmarkError, Identity, descendants, running, tail
from benchmarks.server import Server

__all__ = ["PROGRAMS", "Load", "Orchestrator", "System"]

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
PROGRAM_WITHIN_S = 600.0


class Load(NamedTuple):
    """How many runner processes there are and how much each may hold; None: the system's default."""

    processes: int | None
    in_flight: int | None
    queues: tuple[str, ...] = ("default",)

    def __str__(self) -> str:
        if self.processes is None or self.in_flight is None:
            return "defaults"
        return f"{self.processes}×{self.in_flight}"


class Orchestrator:
    """A running orchestrator with its runners.

    Attributes:
        pid: The orchestrator's process.
        log: Its output, and its runners'.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self.pid, self.log = process, process.pid, log

    def runners(self) -> list[Identity]:
        """Return the processes it has started."""
        return descendants(self.pid)

    def check(self) -> None:
        """Raise if it has ended.

        Raises:
            BenchmarkError: It has.
        """
        if self._process.poll() is not None:
            raise BenchmarkError(
                f"the orchestrator ended with {self._process.returncode}; its log ends:\n{tail(self.log)}"
            )


class System(ABC):
    """One job queue.

    Attributes:
        key: Its name in JSON.
        name: Its name in tables.
        modes: Its ways of enqueuing, of ``one by one``, ``blocking``, ``gathered``, ``bulk``.
    """

    key: str
    name: str
    modes: tuple[str, ...]

    def takes(self, load: Load) -> bool:
        """Return whether it can be configured for such a load."""
        return True

    @abstractmethod
    def guess(self, load: Load) -> float:
        """Return about how many jobs a second it does, to size the first round."""

    @abstractmethod
    def settings(self, url: str, load: Load) -> str:
        """Return the content of its ``rrq.toml``."""

    @abstractmethod
    def worker_command(self, config: Path, load: Load) -> list[str | Path]:
        """Return the command of its orchestrator."""

    @abstractmethod
    def producer_command(self) -> list[str | Path]:
        """Return the command of its program in ``programs/``, without the task."""

    def environment(self) -> dict[str, str]:
        """Return environment variables that its orchestrator gets."""
        return {}

    @contextlib.contextmanager
    def orchestrator(self, server: Server, load: Load, folder: Path) -> Iterator[Orchestrator]:
        """Run its orchestrator and runners; they end with the block."""
        config = folder / f"{self.key}.toml"
        config.write_text(self.settings(server.url, load))
        log = folder / f"{self.key}.log"
        log.unlink(missing_ok=True)
        command = self.worker_command(config, load)
        with running(command, log=log, cwd=PROGRAMS, env=self.environment()) as process:
            yield Orchestrator(process, log)

    def produce(self, server: Server, task: str, **arguments: Any) -> dict[str, Any]:
        """Have its program carry out a task and return the answer.

        Raises:
            BenchmarkError: It failed.
        """
        try:
            done = subprocess.run(
                self._task(server, task, arguments),
                cwd=PROGRAMS,
                capture_output=True,
                text=True,
                check=False,
                timeout=PROGRAM_WITHIN_S,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{self.name}: {task} did not end within {PROGRAM_WITHIN_S:g} s") from None
        if done.returncode != 0:
            raise BenchmarkError(f"{self.name}: {task} failed:\n{done.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    @contextlib.contextmanager
    def producing(self, server: Server, task: str, folder: Path, **arguments: Any) -> Iterator[None]:
        """Have its program carry out a task until the block ends."""
        log = folder / f"{self.key}-{task}.log"
        with running(self._task(server, task, arguments), log=log, cwd=PROGRAMS):
            yield

    def _task(self, server: Server, task: str, arguments: dict[str, Any]) -> list[str | Path]:
        return [*self.producer_command(), json.dumps({"task": task, "url": server.url, **arguments})]
