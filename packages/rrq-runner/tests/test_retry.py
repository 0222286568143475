"""A handler's own word on whether and when it is tried again."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from rrq_protocol import FATAL_CODE, ErrorType, ExecutionError, ExecutionOutcome, OutcomeStatus
from rrq_runner.engine import Engine
from rrq_runner.errors import RetryJob
from rrq_runner.registry import Registry
from rrq_runner.retry import Retry
from support.runners import execution_request

SEED = 20260131


def failed(kind: str = "ValueError", status: OutcomeStatus = OutcomeStatus.ERROR) -> ExecutionOutcome:
    """Return the outcome of a failed attempt."""
    error = ExecutionError("boom", type=kind, details={"traceback": "…"})
    return ExecutionOutcome(job_id="j", request_id="r", status=status, error=error)


def applied(
    retry: Retry, outcome: ExecutionOutcome, cause: BaseException | None = None, attempt: int = 1
) -> ExecutionOutcome:
    """Apply a policy with seeded randomness."""
    return retry.applied(outcome, cause, attempt, Random(SEED))


def is_final(outcome: ExecutionOutcome) -> bool:
    """Return whether an orchestrator will try no more."""
    assert outcome.error is not None
    return outcome.status is not OutcomeStatus.RETRY and outcome.error.code == FATAL_CODE


@pytest.mark.parametrize(("attempt", "last"), [(1, False), (2, False), (3, True), (4, True)])
def test_max_retries_is_the_number_of_attempts_in_all(attempt: int, last: bool) -> None:
    """As with a job's limit of the same name; the last failure keeps its message, type and traceback."""
    outcome = applied(Retry(max_retries=3), failed(), attempt=attempt)
    assert is_final(outcome) is last
    assert outcome.error is not None
    assert (outcome.error.message, outcome.error.type) == ("boom", "ValueError")
    assert outcome.error.details == {"traceback": "…"}


@pytest.mark.parametrize(("attempt", "bound"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (2000, 10.0)])
def test_the_delay_doubles_up_to_its_limit(attempt: int, bound: float) -> None:
    """Anything up to it, so that jobs that failed together do not return together."""
    retry = Retry(base_delay_seconds=2, max_delay_seconds=timedelta(seconds=10))
    random, delays = Random(SEED), []
    for _ in range(200):
        outcome = retry.applied(failed(), None, attempt, random)
        assert outcome.status is OutcomeStatus.RETRY
        assert outcome.error is not None
        assert outcome.error.type == "ValueError"
        delays.append(outcome.retry_after_seconds or 0)
    assert 0 <= min(delays) < bound / 10
    assert bound * 0.9 < max(delays) <= bound


def test_without_a_delay_of_its_own_the_orchestrator_decides() -> None:
    """The outcome stays an error, with no delay in it."""
    assert applied(Retry(max_retries=3), failed()) == failed()


def test_a_delay_the_handler_names_outranks_the_policy() -> None:
    """RetryJob(defer_seconds=…) knows better; without a delay the policy's is taken."""
    retry = Retry(base_delay_seconds=100)
    asked, open_ = (ExecutionOutcome.retry_after("j", "r", "later", each) for each in (5, None))
    assert applied(retry, asked, RetryJob()).retry_after_seconds == 5
    drawn = Random(SEED).random() * 100
    assert applied(retry, open_, RetryJob()).retry_after_seconds == drawn


def test_asking_for_a_retry_does_not_lift_the_limit() -> None:
    """At the last attempt RetryJob is a failure like any other."""
    outcome = applied(Retry(max_retries=2), ExecutionOutcome.retry_after("j", "r", "later", 5), attempt=2)
    assert is_final(outcome)
    assert (outcome.status, outcome.retry_after_seconds) == (OutcomeStatus.ERROR, None)


def test_some_exceptions_are_final_at_once() -> None:
    """Those named, and what is derived from them; a single class needs no tuple."""
    one: Any = LookupError
    for retry in (Retry(give_up_on=(TypeError, LookupError)), Retry(give_up_on=one)):
        assert is_final(applied(retry, failed(), KeyError("no such account")))
        assert not is_final(applied(retry, failed(), ValueError("perhaps later")))


def test_what_is_decided_already_stays_so() -> None:
    """Parameters that do not fit get no delay; a timeout gets none either, but it has its last attempt."""
    retry = Retry(max_retries=2, base_delay_seconds=5)
    unfitting = failed(ErrorType.INVALID_PARAMS)
    assert applied(retry, unfitting) == unfitting
    late = failed(ErrorType.TIMEOUT, OutcomeStatus.TIMEOUT)
    assert applied(retry, late) == late
    last = applied(retry, late, attempt=2)
    assert last.status is OutcomeStatus.TIMEOUT
    assert is_final(last)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"max_retries": 0}, "max_retries: expected attempts in all, at least 1, got 0"),
        ({"max_retries": True}, "max_retries: expected attempts in all, an int, got True"),
        ({"max_retries": 2.5}, "max_retries: expected attempts in all, an int"),
        ({"base_delay_seconds": -1}, "base_delay_seconds: expected a finite number of seconds >= 0"),
        ({"max_delay_seconds": float("nan")}, "max_delay_seconds: expected a finite number"),
        ({"max_delay_seconds": "5m"}, "max_delay_seconds: expected seconds or a timedelta"),
        ({"give_up_on": ("ValueError",)}, "give_up_on: expected exception classes in a tuple"),
        ({"give_up_on": int}, "give_up_on: expected exception classes in a tuple"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_where_it_is_written(given: dict[str, Any], problem: str) -> None:
    """The module does not import, and the text names the value."""
    with pytest.raises((TypeError, ValueError), match=problem):
        Retry(**given)


@pytest.mark.anyio
async def test_every_kind_of_handler_is_under_its_policy() -> None:
    """Async, in a thread, and out of its own time: the answer to the last attempt says that it is one."""
    registry = Registry()
    policy = Retry(max_retries=2)

    @registry.handler(retry=policy)
    async def on_the_loop() -> None:
        raise ValueError("boom")

    @registry.handler(retry=policy)
    def in_a_thread() -> None:
        raise ValueError("boom")

    @registry.handler(retry=policy, timeout=0.01)
    async def too_slow() -> None:
        await asyncio.Event().wait()

    engine = Engine(registry, random=Random(SEED))
    try:
        for name in registry:
            first = await engine.execute(execution_request(name, attempt=1))
            assert first.error is not None
            assert first.error.code is None, name
            assert is_final(await engine.execute(execution_request(name, attempt=2))), name
    finally:
        await engine.stop(0, 1)
