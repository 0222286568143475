"""The benchmarks run: each prints its table and its figures come out as JSON. How fast anything is, nobody
asks here.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.rules import ROOT

RUN = [sys.executable, "-m", "benchmarks", "--quick", "--no-peer", "--plain"]
FIGURES = {
    "throughput": {"throughput"},
    "latency": {"p50", "p99"},
    "enqueue": {"rate", "CPU of Redis"},
    "idle": {"CPU of Redis", "Redis commands"},
    "growth": {"claim", "settle", "throughput"},
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


def test_an_unknown_name_is_refused() -> None:
    """A benchmark that does not exist is wrong usage, and the message lists those that do."""
    done = subprocess.run([*RUN, "speed"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "throughput" in done.stderr
