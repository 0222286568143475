"""Run checks one after the other: a failed one costs its process, so that it cannot harm the next."""

from collections.abc import AsyncIterator, Iterable

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.verdict import Check, Finding, Level, Outcome, Verdict, Violation

__all__ = ["run_checks"]


async def run_checks(bench: Bench, checks: Iterable[Check]) -> AsyncIterator[Outcome]:
    """Yield the outcome of each check that the bench's transport allows, as it ends; after a needed one that
    failed, no more.
    """
    for check in checks:
        if bench.kind in check.transports:
            outcome = await _outcome(bench, check)
            yield outcome
            if check.needed and outcome.verdict is Verdict.FAIL:
                return


async def _outcome(bench: Bench, check: Check) -> Outcome:
    bench.begin()
    try:
        remark = await check.run(bench)
    except Finding as finding:
        sent, received = bench.transcript()
        detail = f"{finding}{await bench.postscript()}"
        said = await bench.discard()
        counts = check.level is Level.MUST or isinstance(finding, Violation)
        verdict = Verdict.FAIL if counts else Verdict.NOTE
        return Outcome(check, verdict, detail, sent, received, said)
    await bench.leave()
    return Outcome(check, Verdict.PASS, remark or "")
