"""The benchmarks run: each prints its table and its figures come out as JSON. How fast anything is, nobody
asks here.
"""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import wait_until_gone
from support.rules import ROOT
from support.waiting import eventually

RUN = [sys.executable, "-m", "benchmarks", "--quick", "--no-peer", "--plain"]
FIGURES = {
    "throughput": {"throughput"},
    "latency": {"p50", "p99"},
    "enqueue": {"rate", "CPU of Redis"},
    "idle": {"CPU of Redis", "Redis commands"},
    "growth": {"claim", "settle", "throughput"},
    "cron": {"ticks", "late, p50", "late, p99"},
    "requeue": {"rate", "CPU of Redis", "longest call"},
}


@pytest.mark.slow
def test_each_benchmark_prints_its_table_and_writes_its_figures(tmp_path: Path) -> None:
    """A quick run of all ends well, with a table and at least the leading figures of each. Slow: it starts
    several orchestrators with their runners.
    """
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [*RUN, "--jobs", "200", "--json", str(out), *FIGURES],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert document["systems"] == {"rrq": "RRQ"}
    for benchmark, figures in FIGURES.items():
        assert f"\n{benchmark}\n" in done.stdout
        found = [each for each in document["figures"] if each["benchmark"] == benchmark]
        assert figures <= {each["figure"] for each in found}
        for each in found:
            values = each["systems"]["rrq"]
            assert values["low"] <= values["median"] <= values["high"]
            assert len(values["rounds"]) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_that_ends_early_leaves_no_process(how: str) -> None:
    """Killed in the middle, or by Ctrl-C: server, orchestrator, runners and programs are gone."""
    run = [*RUN, "--jobs", "200000", "throughput"]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        # Its guard, the benchmark, the server, the orchestrator, and at least one runner with its guard.
        pids = eventually(
            lambda: found if len(found := _below(process.pid)) >= 6 else [], "the benchmark to be at work"
        )
        process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGINT)
        process.wait(60)
        wait_until_gone(pids)


def _below(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found[1:]


def test_an_unknown_name_is_refused() -> None:
    """A benchmark that does not exist is wrong usage, and the message lists those that do."""
    done = subprocess.run([*RUN, "speed"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "throughput" in done.stderr
