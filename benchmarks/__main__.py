"""``python -m benchmarks``: run benchmarks, print their tables, write their figures."""

import contextlib
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.guarding import INSIDE, interruptible, run_guarded
from benchmarks.options import NAMES, Options, parse
from benchmarks.processes import BenchmarkError
from benchmarks.report import Report
from benchmarks.screen import Progress, print_table
from benchmarks.server import serve
from benchmarks.suites import (
    Bench,
    run_cron,
    run_enqueue,
    run_growth,
    run_idle,
    run_latency,
    run_peers,
    run_requeue,
    run_throughput,
)
from benchmarks.suites.peers import compared
from benchmarks.systems import Ours, Public, System, install

__all__ = ["main"]

RESULTS = Path(__file__).resolve().parent / "results"
SUITES = {
    "throughput": run_throughput,
    "latency": run_latency,
    "enqueue": run_enqueue,
    "idle": run_idle,
    "growth": run_growth,
    "cron": run_cron,
    "requeue": run_requeue,
    "peers": run_peers,
}


def main() -> int:
    """Run what the command line names, below a guard; return the exit code."""
    if os.environ.pop(INSIDE, None) is None:
        return run_guarded(sys.argv[1:])
    interruptible()
    options = parse()
    notes: list[str] = []
    with Progress() as progress, tempfile.TemporaryDirectory(prefix="rrq-bench-") as folder:
        systems: list[System] = [Ours()]
        if options.peer:
            progress.step("looking for the public RRQ")
            found = install()
            if isinstance(found, Path):
                systems.append(Public(found))
            else:
                notes.append(found)
        report = Report({system.key: system.name for system in systems})
        report.notes = notes
        failures: list[str] = []
        with serve(Path(folder)) as server:
            bench = Bench(server, systems, options, report, progress, Path(folder))
            try:
                for name in options.names:
                    # One that fails does not cost the figures of the others.
                    try:
                        SUITES[name](bench)
                    except BenchmarkError as error:
                        failures.append(f"{name}: {error}")
            except KeyboardInterrupt:
                failures.append("interrupted; what was measured until then is above")
            version = server.version
    return _finish(options, report, version, failures)


def _finish(options: Options, report: Report, version: str, failures: list[str]) -> int:
    for name in NAMES:
        rows = compared(report.rows()) if name == "peers" else report.rows(name)
        if rows and (name != "peers" or "peers" in options.names):
            print_table(name, *report.lines(rows), plain=options.plain)
    for note in report.notes:
        print(f"\nnote: {note}")
    if report.rows():
        path = options.json or RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        asked = {**options._asdict(), "json": None}
        report.write(path, report.document(machine={"redis": version}, options=asked))
        with contextlib.suppress(ValueError):
            path = path.resolve().relative_to(Path.cwd())
        print(f"\nmedians of {options.rounds} rounds (lowest–highest); written to {path}")
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
