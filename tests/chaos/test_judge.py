"""The judge finds each kind of wrong, in accounts that are right but for one thing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rrq_protocol import JobStatus
from support.chaos.accounts import NOON, ORCHESTRATOR, RUNNER, Accounts, good_accounts
from support.chaos.causes import Causes
from support.chaos.evidence import Fence
from support.chaos.judge import judge
from support.chaos.ledger import Acknowledged, Attempted, Seen, append, read_ledger, read_witness
from support.chaos.slots import Incarnation


@pytest.fixture
def accounts() -> Accounts:
    """Serve accounts of some jobs that went well."""
    return good_accounts()


def test_what_went_well_is_no_finding(accounts: Accounts) -> None:
    """Success, a retry that succeeds, and a deadline."""
    assert judge(accounts.whole()) == []


def _drop_record(accounts: Accounts) -> None:
    del accounts.evidence.records["a"]


def _leave_pending(accounts: Accounts) -> None:
    accounts.record("a", JobStatus.PENDING)


def _complete_unseen(accounts: Accounts) -> None:
    accounts.job("x", ended=False)


def _run_stranger(accounts: Accounts) -> None:
    accounts.run("x", 1)


def _store_stranger(accounts: Accounts) -> None:
    accounts.record("x")


def _store_refused(accounts: Accounts) -> None:
    accounts.evidence.refused.add("a")


def _store_merged(accounts: Accounts) -> None:
    accounts.evidence.merged["a"] = "b"


def _fail_innocent(accounts: Accounts) -> None:
    accounts.record("a", JobStatus.FAILED)


def _bury_twice(accounts: Accounts) -> None:
    accounts.evidence.dead["c"] = 2


def _end_twice(accounts: Accounts) -> None:
    accounts.evidence.events["a"] = ["COMPLETED", "COMPLETED"]


def _end_both_ways(accounts: Accounts) -> None:
    accounts.evidence.events["a"] = ["FAILED", "COMPLETED"]


def _accept_stale_result(accounts: Accounts) -> None:
    accounts.record("b", claim_seq=3, current_retries=1, result='"b.2"')


def _complete_unfinished(accounts: Accounts) -> None:
    accounts.seen = [line for line in accounts.seen if line.job != "a" or line.what == "start"]


def _start_claim_twice(accounts: Accounts) -> None:
    accounts.run("a", 1, at=4.0, pid=22)


def _lose_claim_number(accounts: Accounts) -> None:
    accounts.record("b", claim_seq=1, current_retries=1, result='"b.1"')


def _repeat_for_nothing(accounts: Accounts) -> None:
    accounts.record("a", claim_seq=2, result='"a.2"')
    accounts.run("a", 2, at=4.0)


def _charge_retry(accounts: Accounts) -> None:
    accounts.record("a", current_retries=1)


def _charge_too_little(accounts: Accounts) -> None:
    accounts.record("b", claim_seq=2, result='"b.2"')


def _charge_crash(accounts: Accounts) -> None:
    accounts.record("a", crash_count=1)


def _start_early(accounts: Accounts) -> None:
    accounts.job("x", defer_s=5.0)


def _double_key(accounts: Accounts) -> None:
    accounts.job("x", unique="k")
    accounts.job("y", unique="k")
    accounts.record("x", completion_time=NOON + timedelta(seconds=1))


def _miscount(accounts: Accounts) -> None:
    accounts.evidence.counted["completed"] += 1


def _leave_process(accounts: Accounts) -> None:
    accounts.evidence.problems.append("processes are left")


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_drop_record, "lost"),
        (_leave_pending, "lost"),
        (_complete_unseen, "lost"),
        (_run_stranger, "unknown"),
        (_store_stranger, "unknown"),
        (_store_refused, "refused"),
        (_store_merged, "merged"),
        (_fail_innocent, "ending"),
        (_bury_twice, "ending"),
        (_end_twice, "two ends"),
        (_end_both_ways, "two ends"),
        (_accept_stale_result, "stale"),
        (_complete_unfinished, "result"),
        (_start_claim_twice, "claim"),
        (_lose_claim_number, "claim"),
        (_repeat_for_nothing, "duplicate"),
        (_charge_retry, "charge"),
        (_charge_too_little, "charge"),
        (_charge_crash, "charge"),
        (_start_early, "early"),
        (_double_key, "unique"),
        (_miscount, "counters"),
        (_leave_process, "order"),
    ],
)
def test_each_wrong_is_found(accounts: Accounts, spoil: Callable[[Accounts], None], rule: str) -> None:
    """A lost id, a second end, an execution of an unknown id and the others: the rule is named."""
    spoil(accounts)
    assert rule in accounts.rules()


@pytest.mark.parametrize(
    ("kind", "pid"),
    [("runner.kill", RUNNER), ("orchestrator.kill", ORCHESTRATOR), ("orchestrator.drain", ORCHESTRATOR)],
)
def test_a_repeat_after_a_death_is_explained(accounts: Accounts, kind: str, pid: int) -> None:
    """By the death of its own process or orchestrator between the two starts, and by nobody else's."""
    accounts.record("a", claim_seq=2, result='"a.2"')
    accounts.run("a", 2, at=6.0, pid=30, parent=31)
    accounts.fault(kind, 5.0, pid + 100)
    accounts.fault(kind, 7.0, pid)
    accounts.fault("redis.kill", 5.0)
    accounts.fault("network.cut", 5.0, ORCHESTRATOR)
    assert accounts.rules() == {"duplicate"}
    accounts.evidence.counted.clear()
    accounts.fault(kind, 5.0, pid)
    accounts.evidence.faults.sort(key=lambda fault: fault.at)
    del accounts.evidence.faults[-1]
    assert accounts.rules() == set()


def test_a_repeat_beside_poison_is_explained(accounts: Accounts) -> None:
    """The poison took the process down; it is charged each death, its neighbour none."""
    accounts.job("p", "poison", ended=False)
    accounts.record("p", JobStatus.FAILED, crash_count=3, claim_seq=3)
    accounts.run("p", 1, "", at=2.1)
    accounts.record("a", claim_seq=2, result='"a.2"')
    accounts.run("a", 2, at=4.0, pid=30)
    assert accounts.rules() == set()
    accounts.evidence.counted.clear()
    accounts.record("a", claim_seq=2, result='"a.2"', crash_count=1)
    assert accounts.rules() == {"charge"}


def test_poison_that_lives_too_long_or_too_short_is_found(accounts: Accounts) -> None:
    """It is dead-lettered after exactly as many crashes as are allowed."""
    accounts.job("p", "poison", ended=False)
    accounts.record("p", JobStatus.FAILED, crash_count=2, claim_seq=3)
    accounts.run("p", 1, "", pid=40)
    assert accounts.rules() == {"charge"}


def test_a_death_is_charged_to_who_was_alone(accounts: Accounts) -> None:
    """A job alone in a process that the bench killed may be charged; with another in there it may not."""
    accounts.job("d", ended=False)
    accounts.record("d", claim_seq=2, crash_count=1, result='"d.2"')
    accounts.run("d", 1, "", at=2.0, pid=50)
    accounts.run("d", 2, at=6.0, pid=51)
    accounts.fault("runner.kill", 3.0, 50)
    assert accounts.rules() == set()
    accounts.evidence.counted.clear()
    accounts.job("e", "slow", ended=False)
    accounts.run("e", 1, at=2.5, took=5.0, pid=50)
    assert accounts.rules() == {"charge"}


def test_a_job_hit_too_often_may_end_in_the_dead_letter_queue(accounts: Accounts) -> None:
    """As documented: after so many deaths of its orchestrators."""
    accounts.job("d", ended=False)
    accounts.record("d", JobStatus.FAILED, claim_seq=3, crash_count=3)
    for claim in (1, 2, 3):
        accounts.run("d", claim, "", at=2.0 * claim, pid=60 + claim, parent=70 + claim)
        accounts.fault("orchestrator.kill", 2.0 * claim + 1, 70 + claim)
    assert accounts.rules() == set()


def test_a_false_death_is_told_from_a_real_one(accounts: Accounts) -> None:
    """One that the bench had stopped or killed may be taken for dead; one that it had not may not. A repeat
    is explained by either, even if the first execution began when its orchestrator did not know yet.
    """
    evidence = accounts.evidence
    accounts.fault("orchestrator.pause", 3.0, 71, until=6.0)
    evidence.incarnations.append(Incarnation("o", 72, Path("log"), 0.0, ended=4.0, code=0))
    evidence.fences += [Fence(5.0, 71, "o71"), Fence(5.0, 72, "o72")]
    evidence.fences.append(Fence(1.5, ORCHESTRATOR, f"o{ORCHESTRATOR}"))
    accounts.record("a", claim_seq=2, result='"a.2"', crash_count=1)
    accounts.run("a", 2, at=6.0, pid=30, parent=31)
    assert accounts.rules() == set()
    assert Causes(evidence).false_deaths == [ORCHESTRATOR]
    accounts.evidence.counted.clear()
    evidence.lease_s = 10.0
    assert accounts.rules() == {"false death"}


def test_a_successor_may_start_first(accounts: Accounts) -> None:
    """What a dead orchestrator held back starts after the next claim of the job: claims give the order."""
    accounts.record("a", claim_seq=2, result='"a.2"', crash_count=1)
    accounts.seen = [line for line in accounts.seen if line.job != "a"]
    accounts.run("a", 2, at=4.0, pid=30, parent=31)
    accounts.run("a", 1, at=4.1)
    assert accounts.rules() == {"duplicate", "charge"}
    accounts.evidence.counted.clear()
    accounts.evidence.fences.append(Fence(3.0, ORCHESTRATOR, f"o{ORCHESTRATOR}"))
    assert accounts.rules() == set()


def test_accounts_survive_a_killed_writer(tmp_path: Path) -> None:
    """A last line that was cut short is left out; all before it are read."""
    ledger, witness = tmp_path / "ledger", tmp_path / "witness"
    entries = [Attempted("a", 1.0, "quick", unique="k"), Acknowledged("a", 2.0)]
    append(ledger, entries[:1])
    append(ledger, entries[1:])
    with ledger.open("ab") as file:
        file.write(b'{"entry":"ack')
    assert read_ledger(ledger) == entries
    assert read_witness(witness) == []
    append(witness, [Seen("start", "a", "a.17", 1, 2, 3, "o", 4.0)])
    assert [line.claim_seq for line in read_witness(witness)] == [17]
