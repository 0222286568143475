"""Errors: facts as attributes, one tree, and a way through pickle."""

import pickle

import pytest

from rrq_producer import EnqueuedJob
from rrq_producer.errors import (
    DuplicateJob,
    JobNotFound,
    ProducerClosed,
    QueueFull,
    RedisError,
    RedisRefused,
    RedisUnavailable,
    ResultExpired,
    WaitTimeout,
    WrongKeyType,
)
from rrq_protocol import RRQError

EXAMPLES = [
    DuplicateJob("a", "id_taken", index=3),
    JobNotFound("a"),
    ResultExpired("a", "FAILED"),
    WaitTimeout("a", 1.5, "ACTIVE"),
    ProducerClosed(),
    WrongKeyType("a"),
    QueueFull("redis://h", "OOM", hint="raise maxmemory"),
    RedisUnavailable("redis://h", "refused", attempts=4, waited_s=9.9),
    RedisRefused("redis://h", "NOAUTH", hint="give a password"),
]


def _told() -> QueueFull:
    error = QueueFull("redis://h", "OOM", hint="raise maxmemory")
    error.tell([EnqueuedJob("b", True), None, None], {2: "c"})
    return error


EXAMPLES.append(_told())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_pass_through_pickle(error: RRQError) -> None:
    """Every error is an RRQError, and its copy in another process has its text and its facts."""
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, RRQError)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_errors_are_told_apart_by_what_helps() -> None:
    """Refused is a kind of unavailable, timeouts are TimeoutErrors, an expired result is a missing job."""
    assert issubclass(RedisRefused, RedisUnavailable)
    assert issubclass(RedisUnavailable, RedisError)
    assert issubclass(QueueFull, RedisError)
    assert not issubclass(QueueFull, RedisUnavailable)
    assert issubclass(WaitTimeout, TimeoutError)
    assert issubclass(ResultExpired, JobNotFound)


def test_texts_say_what_to_do() -> None:
    """The text of an error names what was tried and the way out."""
    assert "4 attempts in 9.9 s, the last: refused" in str(EXAMPLES[7])
    assert str(EXAMPLES[8]).endswith("give a password")
    assert "item 3" in str(EXAMPLES[0])
    assert "choose another id" in str(EXAMPLES[0])


def test_an_error_of_many_says_what_became_of_each() -> None:
    """Outcomes by position, the accepted ones, and those nobody knows of; the text counts them."""
    error = _told()
    assert (error.accepted, error.unknown) == ((EnqueuedJob("b", True),), {2: "c"})
    assert str(error).endswith("raise maxmemory; 1 of 3 jobs were accepted, of 1 that is not known")
