"""One check after the other, none harmed by the one before."""

import sys
from pathlib import Path

import pytest

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.checks import CHECKS
from rrq_orchestrator.conformance.run import run_checks
from rrq_orchestrator.conformance.verdict import STDIO, Check, Finding, Level, Verdict
from support import fake_runner

pytestmark = pytest.mark.anyio
FAULTY = Path(fake_runner.__file__).with_name("faulty_runner.py")


async def _passes(bench: Bench) -> str | None:
    await (await bench.talk()).fence()
    return "fine"


async def _finds(bench: Bench) -> str | None:
    await (await bench.talk()).fence()
    raise Finding("expected this")


async def test_a_finding_costs_its_process_and_is_kept() -> None:
    """With the bytes and what was printed; checks of other transports are left out."""
    checks = [
        Check("good", "passes", _passes),
        Check("bad", "fails", _finds),
        Check("soft", "is noted", _finds, level=Level.SHOULD),
        Check("other", "is left out", _finds, transports=STDIO),
        Check("last", "passes", _passes),
    ]
    bench = Bench([sys.executable, "-S", str(FAULTY), "none"], "unix", patience_s=30, grace_s=30)
    pids, outcomes = [], []
    try:
        async for outcome in run_checks(bench, checks):
            outcomes.append(outcome)
            pids.append(bench.pid)
    finally:
        await bench.close()
    assert [(each.check.name, each.verdict, each.detail) for each in outcomes] == [
        ("good", Verdict.PASS, "fine"),
        ("bad", Verdict.FAIL, "expected this"),
        ("soft", Verdict.NOTE, "expected this"),
        ("last", Verdict.PASS, "fine"),
    ]
    assert b'"fence":1' in outcomes[1].sent
    assert b'"success"' in outcomes[1].received
    assert outcomes[1].said == ("listening",)
    assert pids[1:3] == [None, None]


async def test_a_runner_that_does_not_start_is_tried_once() -> None:
    """Its every check would wait in vain."""
    bench = Bench([sys.executable, "-c", "pass"], "unix", patience_s=30, grace_s=30)
    outcomes = [each async for each in run_checks(bench, CHECKS)]
    await bench.close()
    assert [(each.check.name, each.verdict) for each in outcomes] == [("starts", Verdict.FAIL)]
