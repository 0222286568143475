"""From what is asked for to the call, and back from its reply."""

from collections.abc import Callable

import pytest

from rrq_producer.errors import DuplicateJob, WrongKeyType
from rrq_producer.jobs import (
    CHUNK_BYTES,
    CHUNK_JOBS,
    EnqueuedJob,
    JobRules,
    accepted,
    debounced,
    refusal,
)
from rrq_protocol import Job, Settings
from rrq_protocol.transitions import EnqueueKind, EnqueueReply

RULES = JobRules.of(Settings())


@pytest.mark.parametrize("count", [0, 1, CHUNK_JOBS, CHUNK_JOBS + 1, 3 * CHUNK_JOBS])
def test_chunks_hold_all_jobs_in_order(count: int) -> None:
    """Chunks follow one another without a gap, none is longer than the limit."""
    jobs = [Job("f", {"n": n}) for n in range(count)]
    chunks = RULES.many(jobs)
    assert [job for chunk in chunks for job in chunk.jobs] == jobs
    assert [chunk.first for chunk in chunks] == list(range(0, count, CHUNK_JOBS))


def test_chunks_end_when_they_are_large() -> None:
    """A chunk is over the byte limit by less than one job, and a job is never split."""
    size = CHUNK_BYTES // 3
    chunks = RULES.many([Job("f", {"x": "y" * size}) for _ in range(7)])
    assert [len(chunk.jobs) for chunk in chunks] == [3, 3, 1]
    for chunk in chunks:
        assert len(chunk.evalsha()) < CHUNK_BYTES + size + 4096


def test_a_chunk_can_be_sent_job_by_job() -> None:
    """The same records, each by a call of its own, at its place among all."""
    jobs = [Job("f", {"n": n}) for n in range(CHUNK_JOBS + 2)]
    chunk = RULES.many(jobs)[1]
    singles = list(RULES.singles(chunk))
    assert [single.first for single in singles] == [CHUNK_JOBS, CHUNK_JOBS + 1]
    assert [record for single in singles for record in single.records] == list(chunk.records)
    assert singles[0].call.args[2:] + singles[1].call.args[2:] == chunk.call.args[2:]


def test_a_repeat_has_the_same_content() -> None:
    """However often and by whichever command a chunk is sent, it is the same jobs with the same ids."""
    chunk = RULES.single(Job("f", {"a": 1}))
    assert chunk.evalsha() == chunk.evalsha()
    record = chunk.call.args[2:]
    for value in record:
        text = value if isinstance(value, bytes) else str(value).encode()
        assert text in chunk.evalsha()
        assert text in chunk.eval()


@pytest.mark.parametrize(
    ("kind", "on_conflict", "repeated", "expected"),
    [
        (EnqueueKind.CREATED, "raise", False, EnqueuedJob("x", True)),
        (EnqueueKind.EXISTS, "return_existing", False, EnqueuedJob("x", False)),
        (EnqueueKind.EXISTS, "return_existing", True, EnqueuedJob("x", True)),
        (EnqueueKind.EXISTS, "raise", True, EnqueuedJob("x", True)),
        (EnqueueKind.EXISTS, "raise", False, "id_exists"),
        (EnqueueKind.TAKEN, "return_existing", True, "id_taken"),
        (EnqueueKind.UNIQUE, "return_existing", True, EnqueuedJob("x", False)),
        (EnqueueKind.UNIQUE, "raise", True, "unique_key"),
        (EnqueueKind.UPDATED, "raise", False, EnqueuedJob("x", False)),
        (EnqueueKind.RATE_LIMITED, "raise", False, None),
    ],
)
def test_each_answer_has_one_meaning(
    kind: EnqueueKind, on_conflict: str, repeated: bool, expected: EnqueuedJob | str | None
) -> None:
    """What the script answers, what the caller prefers and whether it is a repeat decide the outcome."""
    reply = EnqueueReply(kind, "x")
    error = refusal(Job("f", on_conflict=on_conflict), reply, repeated=repeated)
    if isinstance(expected, str):
        assert isinstance(error, DuplicateJob)
        assert error.reason == expected
    else:
        assert error is None
        assert accepted(reply, repeated=repeated) == expected


def test_a_wrong_type_is_always_refused() -> None:
    """A key of another type is an error whatever the caller prefers."""
    reply = EnqueueReply(EnqueueKind.WRONG_TYPE, "x")
    assert isinstance(refusal(Job("f"), reply, repeated=True), WrongKeyType)


def test_a_debounced_job_keeps_a_time_of_its_own() -> None:
    """A job that names its time keeps it; any other is due when the period is over."""
    assert debounced(Job("f", defer_by=5), 2).defer_by == 5
    assert debounced(Job("f"), 2).defer_by == 2


def test_settings_with_full_keys_name_the_queue() -> None:
    """A default queue given as a full Redis key, as the public line allows, is its name."""
    made: Callable[..., JobRules] = JobRules.of
    assert made(Settings(default_queue_name="rrq:queue:mail")).defaults.queue_name == "mail"
    assert made(Settings(), queue_name="other").defaults.queue_name == "other"
