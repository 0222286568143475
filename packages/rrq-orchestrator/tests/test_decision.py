"""What becomes of an attempt: every row of the table in rrq_orchestrator.decision."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.attempts import Stage
from rrq_orchestrator.decision import Lost, Policy, Unanswered, decide
from rrq_orchestrator.runners.base import LostCause
from rrq_protocol import FATAL_CODE, ErrorType, ExecutionError, OutcomeStatus, RetryPolicy, WireOutcome
from rrq_protocol.transitions import Charge, SettleKind
from support.orchestrating import claimed

POLICY = Policy(max_retries=5, backoff=RetryPolicy(5.0, 60.0), max_crashes=3)
RNG = random.Random(7)


def ended(status: OutcomeStatus, kind: str | None = None, retry_after: float | None = None) -> WireOutcome:
    error = None if status is OutcomeStatus.SUCCESS else ExecutionError(message="boom", type=kind)
    return WireOutcome(status=status, error=error, retry_after_seconds=retry_after)


SUCCESS = ended(OutcomeStatus.SUCCESS)
ERROR = ended(OutcomeStatus.ERROR, "ValueError")
TIMEOUT = ended(OutcomeStatus.TIMEOUT, "timeout")
CRASH = Lost(LostCause.CRASHED, "exited with 1")
BLOCKED = Lost(LostCause.BLOCKED, "did nothing any more")
SHARED = Lost(LostCause.CRASHED, "exited with 1", shared=True)


@pytest.mark.parametrize(
    ("end", "stage", "kind"),
    [
        (SUCCESS, Stage.RUNNING, SettleKind.COMPLETE),
        (SUCCESS, Stage.TIMING_OUT, SettleKind.COMPLETE),
        (SUCCESS, Stage.CANCELLING, SettleKind.COMPLETE),
        (ERROR, Stage.RUNNING, SettleKind.RETRY),
        (ended(OutcomeStatus.RETRY), Stage.RUNNING, SettleKind.RETRY),
        (TIMEOUT, Stage.RUNNING, SettleKind.FAIL),
        (Unanswered(), Stage.TIMING_OUT, SettleKind.FAIL),
        (ERROR, Stage.TIMING_OUT, SettleKind.FAIL),
        (ended(OutcomeStatus.ERROR, ErrorType.HANDLER_NOT_FOUND), Stage.RUNNING, SettleKind.FAIL),
        (ended(OutcomeStatus.ERROR, ErrorType.INVALID_PARAMS), Stage.RUNNING, SettleKind.FAIL),
        (ended(OutcomeStatus.ERROR, ErrorType.BUSY), Stage.RUNNING, SettleKind.RELEASE),
        (ended(OutcomeStatus.ERROR, ErrorType.CANCELLED), Stage.CANCELLING, SettleKind.CANCEL),
        (Unanswered(), Stage.CANCELLING, SettleKind.CANCEL),
        (ended(OutcomeStatus.ERROR, ErrorType.CANCELLED), Stage.RUNNING, SettleKind.CRASH),
        (CRASH, Stage.RUNNING, SettleKind.CRASH),
        (Lost(LostCause.PROTOCOL, "garbage"), Stage.RUNNING, SettleKind.CRASH),
        (SHARED, Stage.RUNNING, SettleKind.SUSPECT),
        (SHARED, Stage.CANCELLING, SettleKind.CANCEL),
        (BLOCKED, Stage.RUNNING, SettleKind.SUSPECT),
        (BLOCKED, Stage.TIMING_OUT, SettleKind.SUSPECT),
        (BLOCKED, Stage.CANCELLING, SettleKind.CANCEL),
        (BLOCKED, Stage.RELEASING, SettleKind.RELEASE),
        (Unanswered(shared=True), Stage.TIMING_OUT, SettleKind.SUSPECT),
        (Unanswered(shared=True), Stage.CANCELLING, SettleKind.CANCEL),
        (SHARED, Stage.RELEASING, SettleKind.RELEASE),
        (Lost(LostCause.STOPPED, "drain", shared=True), Stage.RUNNING, SettleKind.RELEASE),
        (Lost(LostCause.UNPROVEN, "hung up"), Stage.RUNNING, SettleKind.RELEASE),
        (Lost(LostCause.UNPROVEN, "hung up", shared=True), Stage.RUNNING, SettleKind.RELEASE),
        (Lost(LostCause.STOPPED, "drain"), Stage.RUNNING, SettleKind.RELEASE),
        (ERROR, Stage.RELEASING, SettleKind.RELEASE),
        (ERROR, Stage.DISOWNED, SettleKind.RELEASE),
        (Unanswered(), Stage.RELEASING, SettleKind.RELEASE),
    ],
)
def test_every_end_at_every_stage_has_its_settlement(
    end: WireOutcome | Lost | Unanswered, stage: Stage, kind: SettleKind
) -> None:
    """The table of the module docstring, row by row."""
    assert decide(claimed(), end, stage, POLICY, RNG).kind is kind


@pytest.mark.parametrize(
    ("message", "type_", "kind"),
    [
        ("Runner busy: too many in-flight requests", None, SettleKind.RELEASE),
        ("Runner busy: too many in-flight requests", "ValueError", SettleKind.RETRY),
        ("Runner busy", None, SettleKind.RETRY),
    ],
)
def test_a_full_runner_of_the_public_line_is_busy(message: str, type_: str | None, kind: SettleKind) -> None:
    """It says so in these words and without a type; a handler's own error always has its type in ours, and
    words of its own in theirs.
    """
    error = ExecutionError(message=message, type=type_)
    end = WireOutcome(status=OutcomeStatus.ERROR, error=error)
    assert decide(claimed(), end, Stage.RUNNING, POLICY, RNG).kind is kind


def test_the_last_attempt_goes_to_the_dead_letter_queue_and_is_charged() -> None:
    """max_retries is the number of attempts in all, so the third failure of three is the end."""
    second = decide(claimed(current_retries=1, max_retries=3), ERROR, Stage.RUNNING, POLICY, RNG)
    third = decide(claimed(current_retries=2, max_retries=3), ERROR, Stage.RUNNING, POLICY, RNG)
    assert second.kind is SettleKind.RETRY
    assert (third.kind, third.charge, third.outcome) == (SettleKind.FAIL, Charge.RETRY, "failed")


def test_a_job_without_a_limit_of_its_own_has_the_default_one() -> None:
    """A foreign record may leave max_retries out."""
    job = claimed(max_retries=None, current_retries=4)
    assert decide(job, ERROR, Stage.RUNNING, POLICY, RNG).kind is SettleKind.FAIL


@pytest.mark.parametrize(("asked", "delay_ms"), [(0.0, 0), (2.5, 2500), (1e308, 60_000)])
def test_a_delay_the_handler_asks_for_is_taken_and_clamped(asked: float, delay_ms: int) -> None:
    """A retry in 1e308 seconds would never come back (upstream U11)."""
    end = ended(OutcomeStatus.RETRY, retry_after=asked)
    assert decide(claimed(), end, Stage.RUNNING, POLICY, RNG).delay_ms == delay_ms


def test_policies_turn_timeouts_and_unknown_handlers_into_ordinary_failures() -> None:
    """timeout_policy and unknown_handler_policy are "dlq" by default and may be "retry"."""
    lenient = Policy(timeout_policy="retry", unknown_handler_policy="retry")
    unknown = ended(OutcomeStatus.ERROR, ErrorType.HANDLER_NOT_FOUND)
    assert decide(claimed(), TIMEOUT, Stage.RUNNING, lenient, RNG).kind is SettleKind.RETRY
    assert decide(claimed(), unknown, Stage.RUNNING, lenient, RNG).kind is SettleKind.RETRY


def test_a_failure_its_runner_calls_fatal_is_the_last() -> None:
    """A handler may have a limit of its own, for timeouts too; the text says whose word it was."""
    lenient = Policy(timeout_policy="retry")
    error = ExecutionError(message="boom", type="ValueError", code=FATAL_CODE)
    failed = decide(
        claimed(), WireOutcome(status=OutcomeStatus.ERROR, error=error), Stage.RUNNING, POLICY, RNG
    )
    assert (failed.kind, failed.charge, failed.error_type) == (SettleKind.FAIL, Charge.RETRY, "ValueError")
    assert failed.error == "ValueError: boom (its handler allows no other attempt)"
    late = WireOutcome(status=OutcomeStatus.TIMEOUT, error=error)
    assert decide(claimed(), late, Stage.RUNNING, lenient, RNG).kind is SettleKind.FAIL


def test_crashes_have_a_budget_of_their_own() -> None:
    """The first crash runs again at once, the second after a pause, the third is the last; no retry is
    charged.
    """
    first, second, third = (
        decide(claimed(crash_count=n), CRASH, Stage.RUNNING, POLICY, RNG) for n in range(3)
    )
    assert (first.kind, first.delay_ms) == (SettleKind.CRASH, 0)
    assert second.kind is SettleKind.CRASH
    assert second.delay_ms > 0
    assert (third.kind, third.charge) == (SettleKind.FAIL, Charge.CRASH)
    assert "exited with 1" in third.error


def test_a_suspect_that_could_not_run_alone_is_judged_by_its_own_deadline() -> None:
    """In a process that stood still: it is charged for its own deadline, and not for another's (F74)."""
    suspect = claimed(suspect=True)
    unanswered = Unanswered(shared=True)
    assert decide(suspect, unanswered, Stage.TIMING_OUT, POLICY, RNG).kind is SettleKind.FAIL
    assert decide(suspect, BLOCKED, Stage.TIMING_OUT, POLICY, RNG).kind is SettleKind.FAIL
    assert decide(suspect, BLOCKED, Stage.RUNNING, POLICY, RNG).kind is SettleKind.RELEASE


def test_a_suspect_that_could_not_run_alone_is_charged() -> None:
    """Otherwise a job on a runner without such places could crash for ever."""
    assert decide(claimed(suspect=True), SHARED, Stage.RUNNING, POLICY, RNG).kind is SettleKind.CRASH


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ("boom", "ValueError", "ValueError: boom"),
        ("boom", None, "boom"),
        ("no handler named 'x'", ErrorType.HANDLER_NOT_FOUND, "no handler named 'x'"),
        ("ValueError: boom", "ValueError", "ValueError: boom"),
        ("", "KeyError", "KeyError"),
        ("", None, "the handler failed without a message"),
    ],
)
def test_the_stored_error_names_the_exception_once(message: str, kind: str | None, text: str) -> None:
    """Exception types of handlers stand in front of the message; our own words for errors do not."""
    end = WireOutcome(status=OutcomeStatus.ERROR, error=ExecutionError(message=message, type=kind))
    assert decide(claimed(), end, Stage.RUNNING, POLICY, RNG).error == text


@given(
    st.sampled_from(OutcomeStatus),
    st.none() | st.sampled_from(ErrorType) | st.text(),
    st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    st.sampled_from(Stage),
    st.integers(0, 10),
    st.integers(0, 5),
)
def test_decide_is_total(
    status: OutcomeStatus, kind: str | None, after: float | None, stage: Stage, retries: int, crashes: int
) -> None:
    """Whatever a runner answers at whatever stage, there is a decision with a delay within bounds."""
    job = claimed(current_retries=retries, crash_count=crashes)
    decision = decide(job, ended(status, kind, after), stage, POLICY, RNG)
    assert 0 <= decision.delay_ms <= POLICY.backoff.cap_s * 1000


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("", "timed out after 300 s"),
        ("the deadline passed", "timed out after 300 s"),
        ("the handler's timeout of 0.5 s passed", "timed out: the handler's timeout of 0.5 s passed"),
    ],
)
def test_a_timeout_tells_which_limit_it_was(said: str, text: str) -> None:
    """The job's own is known here; a shorter one of the handler only the runner knows."""
    end = WireOutcome(status=OutcomeStatus.TIMEOUT, error=ExecutionError(message=said, type="timeout"))
    assert decide(claimed(timeout_seconds=300.0), end, Stage.RUNNING, POLICY, RNG).error == text


def test_suspects_that_die_together_start_again_apart() -> None:
    """There is no place where each is alone: over more time with each death, so that some meet nobody."""
    for crashes, within_ms in ((0, 10_000), (1, 20_000 + 10_000)):
        delays = [
            decide(claimed(suspect=True, crash_count=crashes), SHARED, Stage.RUNNING, POLICY, RNG).delay_ms
            for _ in range(20)
        ]
        assert len(set(delays)) > 10
        assert max(delays) <= within_ms
    alone = decide(claimed(suspect=True), CRASH, Stage.RUNNING, POLICY, RNG)
    assert (alone.kind, alone.delay_ms) == (SettleKind.CRASH, 0)
