"""A pytest plugin for runs on changed code: writes to the file ``RRQ_TEST_WITNESS`` names what failed, and
which code was tested.
"""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["PACKAGES", "VARIABLE"]

VARIABLE = "RRQ_TEST_WITNESS"
PACKAGES = ("rrq_cli", "rrq_orchestrator", "rrq_producer", "rrq_protocol", "rrq_runner")

_found: dict[str, Any] = {"passed": 0, "skipped": [], "failed": [], "errors": []}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take note of how a test, or a part of it, ended."""
    if report.passed:
        _found["passed"] += report.when == "call"
    elif report.skipped:
        _found["skipped"].append(report.nodeid)
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = report.longreprtext if crash is None else crash.message
        _found["failed" if report.when == "call" else "errors"].append((report.nodeid, reason))


def pytest_sessionfinish() -> None:
    """Write everything down."""
    if name := os.environ.get(VARIABLE):
        specs = {package: importlib.util.find_spec(package) for package in PACKAGES}
        _found["tested"] = {package: spec.origin for package, spec in specs.items() if spec is not None}
        Path(name).write_text(json.dumps(_found))
