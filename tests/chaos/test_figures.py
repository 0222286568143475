"""The figures of a round, and which of them are short of a goal."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from support.chaos.accounts import Accounts, good_accounts
from support.chaos.evidence import Suspicion
from support.chaos.figures import figures_of, lines_of, loss_bound, total
from support.chaos.judge import judge_figures
from support.chaos.options import Options


@pytest.fixture
def accounts() -> Accounts:
    """Serve accounts of some jobs that went well."""
    return good_accounts()


def test_the_figures_of_a_round(accounts: Accounts) -> None:
    """Executions are retries or repeats, recovery is from the kill to the next start, and a bound is given
    for what was not seen.
    """
    accounts.record("a", claim_seq=2, result='"a.2"', crash_count=1)
    accounts.seen = [line for line in accounts.seen if line.job != "a"]
    accounts.run("a", 1, "")
    accounts.run("a", 2, at=6.5, pid=30, parent=31)
    accounts.fault("orchestrator.kill", 2.75, 10)
    accounts.fault("redis.up", 5.0)
    figures = figures_of(accounts.whole(), lost=0, took_s=9.0)
    assert (figures.executed, figures.retried, figures.repeated) == (5, 1, 1)
    assert (figures.orchestrator_s, figures.outage_s) == ((), (1.5,))
    assert figures.redis_s == (1.5,)
    assert figures.hit == 1
    assert loss_bound(300) == pytest.approx(0.01)
    both = total([figures, figures])
    assert (both.accepted, both.outage_s) == (6, (1.5, 1.5))
    text = "\n".join(lines_of(both))
    assert "2 kill -9: 2 orchestrator.kill" in text
    assert "below 1 a kill with 95 % confidence" in text


def test_recovery_counts_from_the_last_outage_and_without_pauses_of_the_machine(accounts: Accounts) -> None:
    """Silence means nothing while Redis is away. A job whose runner had died before waits for a process of
    its own as well, and is counted apart.
    """
    accounts.seen = [line for line in accounts.seen if line.job != "a"]
    accounts.record("a", claim_seq=2, result='"a.2"', crash_count=1)
    accounts.run("a", 1, "", pid=60, parent=61)
    accounts.run("a", 2, at=14.0, pid=30, parent=31)
    accounts.fault("orchestrator.kill", 3.0, 61)
    accounts.evidence.held.append((8.0, 0.5))
    assert figures_of(accounts.whole(), lost=0, took_s=9.0).orchestrator_s == (10.5,)
    accounts.fault("redis.pause", 4.0, until=6.0)
    figures = figures_of(accounts.evidence, lost=0, took_s=9.0)
    assert (figures.orchestrator_s, figures.outage_s) == ((), (7.5,))
    accounts.evidence.suspects["a"] = [Suspicion(1.0, 1.0)]
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).suspect_s == (7.5,)


def _wait_alone(accounts: Accounts, *, claim: int = 2) -> tuple[float, ...]:
    """Let a job lose its process at 3.0, be due again at 3.5 and start at 8.0; return the waits counted."""
    accounts.seen = [line for line in accounts.seen if line.job != "a"]
    accounts.record("a", claim_seq=claim, result=f'"a.{claim}"')
    accounts.run("a", 1, "", pid=60, parent=61)
    accounts.run("a", claim, at=8.0, pid=70, parent=71)
    accounts.evidence.suspects["a"] = [Suspicion(0.5, 0.5), Suspicion(3.25, 3.5), Suspicion(9.0, 9.0)]
    return figures_of(accounts.whole(), lost=0, took_s=9.0).alone_s


def test_the_wait_of_a_job_that_runs_alone_is_counted_from_when_it_was_due(accounts: Accounts) -> None:
    """Without what the machine stood still; with Redis away in between, from its return."""
    accounts.evidence.held.append((4.0, 0.5))
    assert _wait_alone(accounts) == (4.0,)
    accounts.fault("redis.up", 6.0)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).alone_s == (2.0,)


def test_the_first_job_of_a_killed_runner_is_counted_from_the_kill(accounts: Accounts) -> None:
    """Less the backoff of one that was charged; not where its orchestrator was killed as well."""
    accounts.fault("runner.kill", 3.0, 60)
    assert _wait_alone(accounts) == (4.5,)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).runner_s == (4.75,)
    accounts.fault("redis.up", 6.0)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).runner_s == (2.0,)
    accounts.fault("orchestrator.kill", 3.1, 61)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).runner_s == ()


def test_the_slowest_starts_do_not_count(accounts: Accounts) -> None:
    """One in twenty may have been stopped by the bench."""
    accounts.evidence.started = [0.25, *(0.125 for _ in range(18)), 4.0]
    assert figures_of(accounts.whole(), lost=0, took_s=9.0).start_s == (4.0,)
    accounts.evidence.started.append(0.5)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).start_s == (0.5,)


@pytest.mark.parametrize(
    ("fault", "at", "pid"),
    [("orchestrator.kill", 3.2, 61), ("orchestrator.pause", 7.0, 71), ("network.cut", 2.5, 71)],
)
def test_a_wait_for_an_orchestrator_is_no_wait_for_a_process(
    accounts: Accounts, fault: str, at: float, pid: int
) -> None:
    """Who had the job was killed, or who took it was stopped, or did not reach Redis; faults of others do
    not count.
    """
    accounts.fault(fault, at, 99)
    assert _wait_alone(accounts) == (4.5,)
    accounts.fault(fault, at, pid)
    assert figures_of(accounts.evidence, lost=0, took_s=9.0).alone_s == ()


def test_a_claim_that_came_to_nothing_is_no_wait_for_a_process(accounts: Accounts) -> None:
    """Whoever made it died with the job in hand."""
    assert _wait_alone(accounts, claim=3) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"faults": Counter({"runner.kill": 149, "redis.pause": 9})}, ["expected 150 kill -9, did 149"]),
        ({"accepted": 19_999}, ["expected 20000 jobs to be accepted, 19999 were"]),
        ({"repeated": 8, "hit": 7}, ["8 repeats, and only 7 executions were in hand at a fault"]),
        (
            {"orchestrator_s": (3.0, 12.5)},
            [
                (
                    "a killed orchestrator's jobs have to start again within 12 s; 1 of 2 took longer, "
                    "the longest 12.50 s"
                )
            ],
        ),
        (
            {"alone_s": (3.0, 7.25), "suspect_s": (15.0,), "runner_s": (4.0,)},
            [
                (
                    "a job that lost its process has to start again, alone, within 7 s; 1 of 2 took "
                    "longer, the longest 7.25 s"
                )
            ],
        ),
        (
            {"suspect_s": (15.25,), "runner_s": (0.1, 4.25)},
            [
                "those of them that run alone have to within 15 s; 1 of 1 took longer, the longest 15.25 s",
                "the first of them has to within 4 s; 1 of 2 took longer, the longest 4.25 s",
            ],
        ),
    ],
)
def test_numbers_short_of_a_goal_are_found(
    accounts: Accounts, changes: dict[str, Any], told: list[str]
) -> None:
    """With a lease of production; with a short one a recovery may take as long as it likes."""
    good = msgspec.structs.replace(
        figures_of(accounts.whole(), lost=0, took_s=9.0),
        faults=Counter({"runner.kill": 100, "orchestrator.kill": 50}),
        accepted=20_000,
        repeated=7,
        hit=7,
        orchestrator_s=(9.9, 12.0),
        start_s=(1.5, 0.5),
    )
    figures = msgspec.structs.replace(good, **changes)
    assert [each.problem for each in judge_figures(figures, Options(7))] == told
    short = [each.problem for each in judge_figures(figures, Options(7, lease_s=1.5))]
    assert short == [each for each in told if " took longer, " not in each]
