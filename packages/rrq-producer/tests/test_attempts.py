"""The budget of attempts of one call."""

import random

import pytest
import redis.exceptions

from rrq_producer.address import Address
from rrq_producer.attempts import MAX_ATTEMPT_S, Attempts
from rrq_producer.errors import QueueFull, RedisRefused, RedisUnavailable
from rrq_protocol import ManualClock

LOST = redis.exceptions.ConnectionError("lost")


def _attempts(clock: ManualClock, timeout_s: float = 10, seed: int = 1) -> Attempts:
    address = Address.of_dsn("redis://:secret@localhost/0")
    return Attempts(address, timeout_s, monotonic=clock.monotonic, random=random.Random(seed))


def test_pauses_grow_until_the_time_is_used_up(rng: random.Random) -> None:
    """Pauses are jittered, grow to two seconds, and the last one still leaves time for an attempt."""
    clock = ManualClock()
    attempts = _attempts(clock, 10, rng.randrange(1000))
    pauses: list[float] = []

    def fail_for_good() -> None:
        while True:
            pauses.append(attempts.pause_after(LOST))
            clock.advance(pauses[-1])

    with pytest.raises(RedisUnavailable) as raised:
        fail_for_good()
    assert 0 <= pauses[0] <= 0.05
    assert max(pauses) <= 2
    assert sum(pauses) < 10
    assert raised.value.attempts == len(pauses) + 1
    assert raised.value.__cause__ is LOST


def test_an_attempt_takes_no_longer_than_is_left() -> None:
    """The limit of one attempt shrinks with the time that is left, and starts anew with progress."""
    clock = ManualClock()
    attempts = _attempts(clock, 8)
    assert attempts.limit_s == MAX_ATTEMPT_S
    clock.advance(6)
    assert attempts.limit_s == attempts.remaining_s == pytest.approx(2)
    clock.advance(6)
    assert 0 < attempts.limit_s < 0.1
    attempts.progressed()
    assert attempts.limit_s == MAX_ATTEMPT_S


def test_only_what_was_sent_without_an_answer_may_have_had_its_effect() -> None:
    """A refused connection and an error reply are no repeats; a connection lost after sending is one."""
    attempts = _attempts(ManualClock())
    attempts.pause_after(LOST)
    attempts.sent = True
    attempts.pause_after(redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"))
    assert not attempts.repeated
    attempts.sent = True
    attempts.pause_after(LOST)
    first = attempts.repeated
    attempts.pause_after(LOST)
    assert (first, attempts.repeated) == (True, True)


def test_the_better_reason_is_told() -> None:
    """When the time runs out during an attempt, the error tells what was wrong with the ones before."""
    clock = ManualClock()
    attempts = _attempts(clock, 1)
    attempts.pause_after(LOST)
    clock.advance(0.9)
    assert attempts.limit_s < 0.2
    attempts.sent = True
    clock.advance(0.2)
    with pytest.raises(RedisUnavailable, match=r"2 attempts in 1\.1 s, the last: lost") as raised:
        attempts.pause_after(TimeoutError())
    assert attempts.repeated
    assert raised.value.__cause__ is LOST


def test_a_missing_script_costs_nothing_once() -> None:
    """The first NOSCRIPT asks for the script's text at once; a second one is a server that cannot be used."""
    attempts = _attempts(ManualClock())
    missing = redis.exceptions.NoScriptError("No matching script. Please use EVAL.")
    assert attempts.pause_after(missing) == 0
    assert attempts.script_missing
    with pytest.raises(RedisRefused):
        attempts.pause_after(missing)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), QueueFull),
        (redis.exceptions.AuthenticationError("invalid username-password pair"), RedisRefused),
        (redis.exceptions.ResponseError("something else"), RedisRefused),
    ],
)
def test_what_does_not_pass_is_raised_at_once(error: Exception, kind: type[RedisUnavailable]) -> None:
    """No time is spent on what does not pass by itself; the password is not in the text."""
    with pytest.raises(kind) as raised:
        _attempts(ManualClock()).pause_after(error)
    assert (raised.value.attempts, raised.value.__cause__) == (1, error)
    assert "secret" not in str(raised.value)
    assert "localhost" in str(raised.value)
