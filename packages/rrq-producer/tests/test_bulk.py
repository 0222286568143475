"""What becomes of the jobs of one enqueue_many, call by call."""

import pytest
import redis.exceptions

from rrq_producer.bulk import Bulk, Part
from rrq_producer.errors import (
    DuplicateJob,
    ProducerClosed,
    QueueFull,
    RedisRefused,
    RedisUnavailable,
    WrongKeyType,
)
from rrq_producer.jobs import CHUNK_JOBS, EnqueuedJob, JobRules
from rrq_protocol import Job, RRQError, Settings

RULES = JobRules.of(Settings())
REFUSED = RedisRefused("redis://h", "NOPERM", begun=True)


def _bulk(count: int) -> Bulk:
    return Bulk(RULES, [Job("f", job_id=f"id-{n}") for n in range(count)])


def _reply(part: Part, kind: str = "created") -> list[bytes]:
    return [text.encode() for job in part.chunk.jobs for text in (kind, job.job_id or "")]


def _next(bulk: Bulk) -> Part:
    part = bulk.next()
    assert part is not None
    return part


def _created(outcomes: list[EnqueuedJob]) -> list[int]:
    return [int(outcome.id.removeprefix("id-")) for outcome in outcomes if outcome.created]


def test_answers_may_come_in_any_order() -> None:
    """Outcomes are kept by position."""
    bulk = _bulk(3 * CHUNK_JOBS)
    for part in reversed(bulk.pending.copy()):
        bulk.answered(part, _reply(part))
    assert bulk.next() is None
    assert _created(bulk.result()) == list(range(3 * CHUNK_JOBS))


def test_what_was_under_way_when_a_connection_was_lost_is_ones_own() -> None:
    """The parts that were begun may hold jobs of this very call; those that were not cannot."""
    bulk = _bulk(3 * CHUNK_JOBS)
    ahead = bulk.sending_ahead()
    commands = ahead.commands()
    next(commands), next(commands)
    ahead.lost()
    while part := bulk.next():
        bulk.answered(part, _reply(part, "exists"))
    assert _created(bulk.result()) == list(range(2 * CHUNK_JOBS))


def test_an_answer_that_never_came_is_said_to_be_unknown() -> None:
    """When the time runs out, the error names what was accepted, what was not, and what nobody knows."""
    bulk = _bulk(4 * CHUNK_JOBS)
    ahead = bulk.sending_ahead()
    commands = ahead.commands()
    first = _next(bulk)
    next(commands), next(commands)
    ahead.answered(_reply(first))
    next(commands)
    ahead.lost()
    error = RedisUnavailable("redis://h", "lost")
    bulk.tell(error)
    assert len(error.accepted) == CHUNK_JOBS
    assert error.unknown == {n: f"id-{n}" for n in range(CHUNK_JOBS, 3 * CHUNK_JOBS)}
    assert len(error.outcomes) == 4 * CHUNK_JOBS


def test_an_error_reply_ahead_leaves_the_part_for_later() -> None:
    """A script that is not known had no effect; one that was refused at work may have had some."""
    for error, own in (
        (redis.exceptions.NoScriptError("No matching script. Please use EVAL."), False),
        (redis.exceptions.ResponseError("ACL failure in script: No permissions to access a key"), True),
    ):
        bulk = _bulk(2 * CHUNK_JOBS)
        ahead = bulk.sending_ahead()
        first, second = bulk.pending
        list(ahead.commands())
        ahead.answered(error)
        ahead.answered(_reply(second))
        assert (_next(bulk), len(bulk.pending), first.own) == (first, 1, own)


def test_a_refused_part_is_asked_for_job_by_job() -> None:
    """What is there is its own, what is refused again was not accepted, and nothing further is sent."""
    bulk = _bulk(3 * CHUNK_JOBS)
    first = _next(bulk)
    bulk.answered(first, _reply(first))
    bulk.refused(_next(bulk), REFUSED)
    assert len(bulk.pending) == CHUNK_JOBS
    while part := bulk.next():
        if part.chunk.first == CHUNK_JOBS + 300:
            bulk.refused(part, REFUSED)
        else:
            bulk.answered(part, _reply(part, "exists" if part.chunk.first < CHUNK_JOBS + 300 else "created"))
    with pytest.raises(RedisRefused) as raised:
        bulk.result()
    bulk.tell(raised.value)
    assert _created(list(raised.value.accepted)) == [
        n for n in range(2 * CHUNK_JOBS) if n != CHUNK_JOBS + 300
    ]
    assert raised.value.unknown == {}


def test_what_was_begun_is_seen_to_its_end() -> None:
    """A part that was under way beside a refused one, and refused as well, is asked for too; what was not
    begun is not."""
    bulk = _bulk(3 * CHUNK_JOBS)
    ahead = bulk.sending_ahead()
    commands = ahead.commands()
    next(commands), next(commands)
    inside = redis.exceptions.ResponseError("ACL failure in script: No permissions to access a key")
    ahead.answered(inside)
    ahead.answered(inside)
    while part := bulk.next():
        bulk.refused(part, RedisRefused("redis://h", "NOPERM", begun=True))
        assert part.chunk.first < 2 * CHUNK_JOBS
    with pytest.raises(RedisRefused) as raised:
        bulk.result()
    bulk.tell(raised.value)
    assert (raised.value.accepted, raised.value.unknown) == ((), {})


def test_a_part_that_is_accepted_after_all_is_no_error() -> None:
    """If each job is taken on its own, what follows is sent as well."""
    bulk = _bulk(2 * CHUNK_JOBS)
    bulk.refused(_next(bulk), REFUSED)
    while part := bulk.next():
        bulk.answered(part, _reply(part))
    assert len(bulk.result()) == 2 * CHUNK_JOBS


def test_what_could_not_be_asked_for_is_unknown() -> None:
    """A part is refused at work, and then nobody answers: each of its jobs may have been accepted."""
    bulk = _bulk(CHUNK_JOBS + 1)
    bulk.refused(_next(bulk), REFUSED)
    part = _next(bulk)
    bulk.answered(part, _reply(part, "exists"))
    error = RedisUnavailable("redis://h", "lost")
    bulk.tell(error)
    assert (_created(list(error.accepted)), list(error.unknown)) == ([0], list(range(1, CHUNK_JOBS)))


@pytest.mark.parametrize("unsure", [False, True])
def test_a_whole_refusal_ends_it(unsure: bool) -> None:
    """What was never begun was not accepted, unless an earlier attempt of it was lost."""
    bulk = _bulk(CHUNK_JOBS + 1)
    error = RedisRefused("redis://h", "NOAUTH", unsure=unsure)
    with pytest.raises(RedisRefused):
        bulk.refused(_next(bulk), error)
    bulk.tell(error)
    assert (error.accepted, len(error.unknown)) == ((), CHUNK_JOBS if unsure else 0)


def test_a_single_refused_job_ends_it() -> None:
    """A part of one job is not asked for again, and what follows is not sent."""
    bulk = Bulk(RULES, [Job("f", {"x": "y" * 600_000}) for _ in range(3)])
    last = bulk.pending[-1]
    bulk.answered(_next(bulk), [b"created", b"a", b"created", b"b"])
    assert _next(bulk) is last
    bulk.refused(last, REFUSED)
    assert bulk.next() is None
    with pytest.raises(RedisRefused):
        bulk.result()


def test_no_memory_in_the_middle_says_what_was_accepted() -> None:
    """A script that finds no memory has written nothing: all before it was accepted, nothing after."""
    bulk = _bulk(2 * CHUNK_JOBS)
    bulk.answered(_next(bulk), _reply(_next(bulk)))
    for error in (QueueFull("redis://h", "OOM"), ProducerClosed()):
        bulk.tell(error)
        assert (len(error.accepted), error.unknown) == (CHUNK_JOBS, {})
        assert f"; {CHUNK_JOBS} of {2 * CHUNK_JOBS} jobs were accepted" in str(error)


@pytest.mark.parametrize(
    ("kinds", "error"),
    [(["created", "taken", "wrong_type"], DuplicateJob), (["wrong_type", "taken"], WrongKeyType)],
)
def test_the_first_refused_job_is_raised_at_the_end(kinds: list[str], error: type[RRQError]) -> None:
    """Refused jobs are reported once all are done; the error carries what became of each."""
    bulk = _bulk(len(kinds))
    bulk.answered(_next(bulk), [part.encode() for n, kind in enumerate(kinds) for part in (kind, f"id-{n}")])
    with pytest.raises(error) as raised:
        bulk.result()
    assert isinstance(raised.value, DuplicateJob | WrongKeyType)
    assert len(raised.value.accepted) == kinds.count("created")
    assert raised.value.index == kinds.index("taken" if error is DuplicateJob else "wrong_type")
