"""The conformance checks find what they are for, and nothing in a runner without faults."""

import sys
from pathlib import Path

import pytest

from rrq_orchestrator.conformance import CHECKS, Bench, Kind, Outcome, Verdict, run_checks

pytestmark = pytest.mark.anyio

FAULTS: list[tuple[str, Kind, str, str]] = [
    ("twice", "unix", "echo", "one answer"),
    ("no_id", "unix", "matching", "open requests only"),
    ("wrong_job", "unix", "echo", "job_id: expected"),
    ("lossy", "unix", "echo", "expected success with"),
    ("no_delay", "unix", "retry", "retry_after_seconds"),
    ("not_found", "unix", "unknown-handler", "handler_not_found"),
    ("strict", "unix", "unknown-fields", "expected success"),
    ("serial", "unix", "concurrency", "came"),
    ("whole_reads", "unix", "split", "expected"),
    ("first_only", "unix", "joined", "came"),
    ("dies_of_json", "unix", "bad-json", "the process"),
    ("dies_of_json", "unix", "wrong-envelope", "the process"),
    ("dies_of_json", "unix", "neighbours", "the process exited"),
    ("silent", "unix", "half-readable", "came"),
    ("any_version", "unix", "wrong-version", "expected status error"),
    ("any_size", "unix", "oversized", "still open"),
    ("ignores_cancel", "unix", "cancel", "came"),
    ("ignores_cancel", "unix", "cancel-job", "came"),
    ("ignores_cancel", "unix", "cancel-twice", "came"),
    ("ignores_cancel", "unix", "deadline", "came"),
    ("cancels_all", "unix", "cancel", "the cancel was for another"),
    ("cancels_all", "unix", "cancel-job", "the cancel was for another"),
    ("ends_with_connection", "unix", "reconnect", "the process"),
    ("ends_with_connection", "unix", "half-frame", "the process"),
    ("one_connection", "unix", "second", "came"),
    ("answers_crash", "unix", "crash", "expected no answer"),
    ("hello_bare", "unix", "hello", "hello.handlers"),
    ("hello_always", "unix", "no-hello", "expected no hello"),
    ("ignores_term", "unix", "shutdown", "still runs"),
    ("ignores_term", "unix", "shutdown-busy", "still runs"),
    ("hasty", "unix", "drain", "expected an answer"),
    ("wide", "tcp", "loopback", "listens on 00000000"),
    ("none", "tcp", "nonce", "took no nonce"),
    ("wrong_proof", "tcp", "starts", "its proof is wrong"),
    ("believes_strangers", "tcp", "nonce", "expected a stranger's connection to be closed"),
    ("prints", "stdio", "starts", "starting up"),
    ("outlives_stdin", "stdio", "stdin-end", "still runs"),
    ("dies_of_json", "stdio", "bad-json", "to be refused"),
]


def _bench(fault: str, kind: Kind) -> Bench:
    runner = Path(__file__).parents[1] / "support" / "faulty_runner.py"
    return Bench([sys.executable, "-S", str(runner), fault], kind, patience_s=20, grace_s=20)


async def _outcome(bench: Bench, name: str) -> Outcome:
    (outcome,) = [each async for each in run_checks(bench, [each for each in CHECKS if each.name == name])]
    return outcome


@pytest.mark.parametrize(("fault", "kind", "name", "text"), FAULTS, ids=[f"{f}-{n}" for f, _, n, _ in FAULTS])
async def test_a_fault_is_found(fault: str, kind: Kind, name: str, text: str) -> None:
    """By the check that is for it, which says what was expected; the bytes are kept."""
    bench = _bench(fault, kind)
    try:
        if name != "starts":
            await bench.talk(offering=name != "no-hello")
        # The runner is up: from here on, what has not come soon will never come.
        bench.be_patient(0.5)
        outcome = await _outcome(bench, name)
    finally:
        await bench.close()
    noted = name in ("neighbours", "drain") or fault == "none"
    assert outcome.verdict is (Verdict.NOTE if noted else Verdict.FAIL)
    assert text in outcome.detail
    assert outcome.sent or name == "starts"


async def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """Every check passes a runner of some hundred lines."""
    bench = _bench("none", "unix")
    try:
        outcomes = [each async for each in run_checks(bench, CHECKS)]
    finally:
        await bench.close()
    assert [(each.check.name, each.detail) for each in outcomes if each.verdict is not Verdict.PASS] == []
    assert {each.check.name for each in outcomes} == {
        each.name for each in CHECKS if "unix" in each.transports
    }


def test_every_check_has_a_fault_it_finds() -> None:
    """But those whose faults others find first."""
    found = {name for _, _, name, _ in FAULTS}
    trusted = {"fail", "sleep", "large", "blank-lines", "empty-frame", "cancel-late", "cancel-foreign"}
    assert found | trusted == {check.name for check in CHECKS}
    assert not found & trusted
