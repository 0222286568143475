"""Running tests on a copy of our code, and judging what became of a seeded defect.

A trial is a pytest process of its own whose ``PYTHONPATH`` begins with a folder of copied packages. That
folder outranks the editable installation, in this process and in those it starts: the daemons of
``support.road`` take the variable over, and so do the runner processes the orchestrator starts.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from support.mutations.mutant import Mutant, seed
from support.mutations.witness import PACKAGES as ALL_PACKAGES
from support.mutations.witness import VARIABLE
from support.rules import PACKAGES, ROOT, wheel_name

__all__ = ["Report", "Trial", "Trials", "Verdict", "judge", "problems_of_baseline"]

# A mutant that only breaks the code teaches nothing about the tests.
_BROKEN = re.compile(
    r"(Import|Indentation|ModuleNotFound|Name|Syntax|UnboundLocal)Error: "
    r"|nonexistent global variable|compiling script"
)
_QUOTED_CHARS = 6000
_JUDGED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Report(msgspec.Struct, frozen=True):
    """What the plugin :mod:`.witness` wrote: node ids with the reason, and where packages were found."""

    passed: int
    skipped: list[str]
    failed: list[tuple[str, str]]
    errors: list[tuple[str, str]]
    tested: dict[str, str]


@dataclass(frozen=True)
class Trial:
    """A run of tests on a copy.

    Attributes:
        folder: Where the copied packages were.
        code: pytest's exit code; None if it had to be stopped.
        report: None if there is none: pytest did not come to its end.
        output: What it printed.
        seconds: How long it took.
    """

    folder: Path
    code: int | None
    report: Report | None
    output: str
    seconds: float

    def foreign(self, packages: Iterable[str]) -> list[str]:
        """Return those packages that were tested as they are elsewhere, not as copied."""
        tested = self.report.tested if self.report is not None else {}
        return [name for name in packages if not Path(tested.get(name, "")).is_relative_to(self.folder)]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mutant.
        trial: The run.
        caught_by: The test that failed; empty where it was not caught.
        reason: What it said.
        problem: Why this is no catch; empty for one.
        skipped: Whether the tests are not for this system, so that nothing can be said.
    """

    mutant: Mutant
    trial: Trial
    caught_by: str = ""
    reason: str = ""
    problem: str = ""
    skipped: bool = False

    def __str__(self) -> str:
        """Return the whole story, for a failing test."""
        tests = "\n  ".join(self.mutant.caught_by)
        shown = self.trial.output[-_QUOTED_CHARS:]
        return f"{self.mutant}\n{self.problem}\nexpected to be caught by:\n  {tests}\n{shown}"


def judge(mutant: Mutant, trial: Trial) -> Verdict:
    """Return whether the tests caught the mutant, for the right reason."""

    def no_catch(problem: str) -> Verdict:
        return Verdict(mutant, trial, problem=problem)

    report = trial.report
    if trial.code is None:
        return no_catch("the tests did not end in time: choose some that fail instead of waiting")
    if report is None or trial.code not in _JUDGED:
        return no_catch(f"pytest did not get to run the tests (exit code {trial.code})")
    if foreign := trial.foreign(mutant.packages):
        return no_catch(f"not the copies were tested: {', '.join(foreign)}")
    if report.skipped and not (report.passed or report.failed or report.errors):
        return Verdict(mutant, trial, skipped=True)
    if not report.failed and not report.errors:
        return no_catch(f"survived: {report.passed} tests passed, {len(report.skipped)} were skipped")
    if not report.failed:
        return no_catch("no test failed, only its set-up or its tear-down did")
    name, reason = report.failed[0]
    if _BROKEN.search(reason):
        return no_catch(f"the mutant is not wrong but broken: {reason}")
    return Verdict(mutant, trial, caught_by=name, reason=reason)


def problems_of_baseline(trial: Trial, packages: Iterable[str] = ALL_PACKAGES) -> list[str]:
    """Return why a run on unchanged copies proves nothing; usually nothing."""
    if trial.code is None:
        return ["the tests did not end in time"]
    if trial.report is None:
        return [f"pytest did not get to run the tests (exit code {trial.code})"]
    problems = [f"{name}: {reason}" for name, reason in (*trial.report.failed, *trial.report.errors)]
    problems += [f"{name}: not the copy was tested" for name in trial.foreign(packages)]
    if not trial.report.passed and not trial.report.skipped:
        problems.append("no test passed")
    return problems


class Trials:
    """Makes trials, several at a time if you like, until it is closed.

    Args:
        seed: Of the runs' random choices.
        limit_s: Longest time one may take.
    """

    def __init__(self, seed: str = "1", limit_s: float = 120.0) -> None:
        self._seed, self._limit_s = seed, limit_s
        self._folder = Path(tempfile.mkdtemp(prefix="rrq-mutants-"))
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False

    def close(self) -> None:
        """End what still runs, and remove the copies."""
        self._closed = True
        for process in list(self._running):
            _end(process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def mutant(self, mutant: Mutant, url: str) -> Verdict:
        """Seed a mutant into a copy and run its tests, to the first that fails.

        Args:
            mutant: The mutant.
            url: The Redis to use; the run's alone, as tests may disturb their neighbours.

        Raises:
            Stale: The code it wants to change is not there.
        """
        folder = self._copy(mutant.packages, mutant.tag)
        seed(mutant, folder)
        return judge(mutant, self._run(folder, mutant.caught_by, url, self._limit_s, "-x"))

    def baseline(self, mutants: Sequence[Mutant], url: str) -> Trial:
        """Run the tests of all these mutants on a copy without any."""
        tests = dict.fromkeys(test for mutant in mutants for test in mutant.caught_by)
        folder = self._copy(ALL_PACKAGES, "baseline")
        return self._run(folder, tuple(tests), url, self._limit_s * 3)

    def _copy(self, packages: Iterable[str], name: str) -> Path:
        folder = self._folder / name
        for package in packages:
            shutil.copytree(
                PACKAGES / wheel_name(package) / "src" / package,
                folder / package,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        return folder

    def _run(self, folder: Path, tests: Sequence[str], url: str, limit_s: float, *options: str) -> Trial:
        witness = folder / "witness.json"
        started = time.monotonic()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"),
                # A plugin of a wheel that is here for its server; loading it takes a fifth of a short run.
                *("-p", "no:valkey"),
                *("-p", "support.mutations.witness", *options, *tests),
            ],
            cwd=ROOT,
            env=self._environment(folder, url, witness),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._running.add(process)
        code: int | None = None
        try:
            output, _ = process.communicate(timeout=limit_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            _end(process)
            output, _ = process.communicate()
        finally:
            self._running.discard(process)
            _end_leftovers(folder)
        report = msgspec.convert(json.loads(witness.read_text()), Report) if witness.exists() else None
        return Trial(folder, code, report, output, time.monotonic() - started)

    def _environment(self, folder: Path, url: str, witness: Path) -> dict[str, str]:
        ours = ("RRQ_", "PYTHONDONTWRITEBYTECODE")
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
            # The second is where the plugin is.
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests")]),
            # Half of a short run's time goes into compiling, so what one compiles is there for the next. Each
            # copy has paths of its own in there.
            "PYTHONPYCACHEPREFIX": str(self._folder / "compiled"),
            "RRQ_TEST_REDIS_URL": url,
            "RRQ_TEST_SEED": self._seed,
            VARIABLE: str(witness),
        }


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_leftovers(folder: Path) -> None:
    """End what a run has left behind: a process shows the folder its code is from."""
    mark = f"PYTHONPATH={folder}{os.pathsep}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(each.startswith(mark) for each in (entry / "environ").read_bytes().split(b"\0")):
                os.kill(int(entry.name), signal.SIGKILL)
