"""What both producers do: enqueue, look, wait, cancel; and how they are made."""

import inspect
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rrq_producer import (
    AsyncProducer,
    CancelReply,
    DuplicateJob,
    InvalidArgument,
    InvalidJob,
    InvalidName,
    Job,
    JobNotFound,
    JobStatus,
    PayloadTooLarge,
    Producer,
    ProducerClosed,
    RRQClient,
    RRQError,
    SettingsError,
    WrongKeyType,
)
from rrq_producer.base import ProducerBase
from rrq_protocol import Keyspace, load_settings
from rrq_protocol.transitions import Guard, Settlement


def test_both_kinds_have_the_same_methods() -> None:
    """Every public method of one producer is on the other, with the same parameters."""
    for name, method in inspect.getmembers(Producer, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(method) == inspect.signature(getattr(AsyncProducer, name)), name


def test_enqueue_stores_the_job(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """An enqueued job is a pending record with all that was said about it, and a member of its queue."""
    job = either.enqueue(
        "rust#resize", {"path": "a.png"}, queue_name="media", unique_key="img:7", max_retries=3,
        job_timeout_seconds=timedelta(seconds=30), result_ttl_seconds=3600, defer_by=10,
        trace_context={"traceparent": "00-1"}, correlation_context={"order": "7"},
    )  # fmt: skip
    assert job.created
    record = redis_client.hgetall(keyspace.job(job.id))
    assert (record[b"function_name"], record[b"job_params"]) == (b"rust#resize", b'{"path":"a.png"}')
    assert (record[b"max_retries"], record[b"job_timeout_seconds"]) == (b"3", b"30")
    assert (record[b"trace_context"], record[b"job_unique_key"]) == (b'{"traceparent":"00-1"}', b"img:7")
    assert redis_client.zscore(keyspace.queue("media"), job.id) is not None
    assert either.get_job_status(job.id).status is JobStatus.PENDING


def test_the_same_id_and_content_is_one_job(either: Any) -> None:
    """A second enqueue of the same id and content returns the first job, or is an error where that was asked
    for."""
    first = either.enqueue("f", {"a": 1}, job_id="one")
    assert first == either.enqueue("f", {"a": 1}, job_id="one").__class__("one", True)
    assert not either.enqueue("f", {"a": 1}, job_id="one").created
    with pytest.raises(DuplicateJob) as refused:
        either.enqueue("f", {"a": 1}, job_id="one", on_conflict="raise")
    assert (refused.value.reason, refused.value.job_id) == ("id_exists", "one")


def test_the_same_id_with_other_content_is_refused(either: Any) -> None:
    """An id that belongs to a job with other content is never reused, and that job is left alone (F87)."""
    either.enqueue("f", {"a": 1}, job_id="one")
    with pytest.raises(DuplicateJob) as refused:
        either.enqueue("f", {"a": 2}, job_id="one")
    assert refused.value.reason == "id_taken"


def test_a_unique_key_is_held_by_one_job(either: Any) -> None:
    """While the holder of a unique key has not ended, it stands for every further call."""
    first = either.enqueue("f", unique_key="k")
    second = either.enqueue("f", {"other": True}, unique_key="k")
    assert (second.id, second.created) == (first.id, False)
    with pytest.raises(DuplicateJob) as refused:
        either.enqueue("f", unique_key="k", on_conflict="raise")
    assert (refused.value.reason, refused.value.job_id) == ("unique_key", first.id)
    either.cancel(first.id)
    assert either.enqueue("f", unique_key="k").created


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("function_name", {"function_name": ""}),
        ("queue_name", {"queue_name": "rrq:queue:x"}),
        ("job_id", {"job_id": "a b"}),
        ("max_retries", {"max_retries": 0}),
        ("job_timeout_seconds", {"job_timeout_seconds": math.nan}),
        ("defer_by", {"defer_by": -1}),
        ("defer_until", {"defer_until": datetime(2030, 1, 1)}),  # noqa: DTZ001 - refused for being naive
        ("defer_until", {"defer_until": datetime(2030, 1, 1, tzinfo=UTC), "defer_by": 1}),
        ("params.x", {"params": {"x": math.inf}}),
        ("params", {"params": {"x": object()}}),
        ("on_conflict", {"on_conflict": "maybe"}),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(
    either: Any, field: str, arguments: dict[str, Any], redis_client: Any, keyspace: Keyspace
) -> None:
    """A job that is wrong in any field is refused by that field's name, before anything is sent (F56, F66,
    S24)."""
    with pytest.raises(InvalidJob) as refused:
        either.enqueue(**{"function_name": "f", **arguments})
    assert refused.value.field == field
    assert redis_client.keys(f"{keyspace.prefix}:*") == []


def test_a_payload_over_the_limit_is_refused(either: Any) -> None:
    """Parameters over the limit are refused with both sizes (F86)."""
    with pytest.raises(PayloadTooLarge) as refused:
        either.enqueue("f", {"text": "x" * 2**20})
    assert refused.value.limit_bytes == 2**20 < refused.value.size_bytes


def test_enqueue_many_keeps_the_order(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """Outcomes come in the order of the jobs, and the queue holds the jobs in that order, over chunks too."""
    outcomes = either.enqueue_many(Job("f", {"n": n}) for n in range(1201))
    assert all(outcome.created for outcome in outcomes)
    queued = [member.decode() for member in redis_client.zrange(keyspace.queue("default"), 0, -1)]
    assert queued == [outcome.id for outcome in outcomes]
    assert either.enqueue_many([]) == []


def test_enqueue_many_checks_all_before_it_writes(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """One bad job among many: it is named by its position, and none of them is written."""
    jobs = [Job("f", {"n": n}) for n in range(700)]
    for bad, text in ((Job("f", max_retries=0), "jobs[700].max_retries"), ("f", "jobs[700]")):
        with pytest.raises(InvalidJob) as refused:
            either.enqueue_many([*jobs, bad])
        assert text in str(refused.value)
    with pytest.raises(PayloadTooLarge, match=r"jobs\[0\]\.params"):
        either.enqueue_many([Job("f", {"x": "y" * 2**20})])
    assert redis_client.keys(f"{keyspace.prefix}:*") == []


def test_enqueue_many_splits_by_size(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """Large parameters end a chunk early, and all of them arrive."""
    outcomes = either.enqueue_many([Job("f", {"text": "x" * 400_000}) for _ in range(7)])
    assert redis_client.zcard(keyspace.queue("default")) == len({outcome.id for outcome in outcomes}) == 7


def test_enqueue_many_says_what_became_of_each(either: Any) -> None:
    """A refused item does not hold up the others; the error names it and carries all outcomes."""
    either.enqueue("f", {"a": 1}, job_id="taken")
    jobs = [Job("f", {"n": n}) for n in range(600)]
    jobs[550] = Job("f", {"a": 2}, job_id="taken")
    with pytest.raises(DuplicateJob, match="item 550") as refused:
        either.enqueue_many(jobs)
    outcomes = refused.value.outcomes
    assert (refused.value.index, outcomes[550], len(outcomes)) == (550, None, 600)
    assert sum(outcome is not None and outcome.created for outcome in outcomes) == 599


def test_a_rate_limit_lets_one_pass(either: Any) -> None:
    """Within the period, the second job of a key is not accepted; another key's is."""
    limit = {"rate_limit_key": "acct:1", "rate_limit_seconds": 60}
    assert either.enqueue_with_rate_limit("f", **limit).created
    assert either.enqueue_with_rate_limit("f", **limit) is None
    assert either.enqueue_with_rate_limit("f", rate_limit_key="acct:2", rate_limit_seconds=60).created


def test_a_debounce_gathers_calls(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """The pending job of a debounce key takes the last call's parameters and its time."""
    first = either.enqueue_with_debounce("f", {"n": 1}, debounce_key="doc:9", debounce_seconds=50)
    due = redis_client.zscore(keyspace.queue("default"), first.id)
    second = either.enqueue_with_debounce(
        "f", {"n": 2}, debounce_key="doc:9", debounce_seconds=timedelta(seconds=90)
    )
    assert (second.id, second.created) == (first.id, False)
    assert redis_client.hget(keyspace.job(first.id), "job_params") == b'{"n":2}'
    assert redis_client.zscore(keyspace.queue("default"), first.id) >= due + 39_000
    assert redis_client.zcard(keyspace.queue("default")) == 1


@pytest.mark.parametrize("seconds", [0, -1, math.nan, "1", True])
def test_a_bad_period_is_refused(either: Any, seconds: Any) -> None:
    """A period that is no time is refused by the name of its argument."""
    with pytest.raises(InvalidJob, match="rate_limit_seconds"):
        either.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=seconds)
    with pytest.raises(InvalidJob, match="debounce_key"):
        either.enqueue_with_debounce("f", debounce_key="", debounce_seconds=1)


def test_wait_returns_the_result(either: Any, finish: Callable[[], list[str]]) -> None:
    """Waiting for a job that has ended returns its result at once, with 0 seconds too."""
    job = either.enqueue("f")
    assert finish() == [job.id]
    assert either.wait(job.id, 5).result == {"ok": True}
    assert either.wait(job.id, 0).status is JobStatus.COMPLETED


@pytest.mark.parametrize("timeout", [0, 0.5, timedelta(milliseconds=500)])
def test_wait_times_out(either: Any, timeout: Any) -> None:
    """A job that has not ended in time is a TimeoutError that tells its status; the job is left alone."""
    job = either.enqueue("f")
    with pytest.raises(TimeoutError, match="PENDING") as timed_out:
        either.wait(job.id, timeout)
    assert isinstance(timed_out.value, RRQError)
    assert either.get_job_status(job.id).status is JobStatus.PENDING


def test_cancel_ends_a_waiting_job(either: Any) -> None:
    """A cancelled job has ended, for a waiter too; a second cancel finds it finished."""
    job = either.enqueue("f")
    assert either.cancel(job.id) is CancelReply.CANCELLED
    assert either.wait(job.id, 5).status is JobStatus.CANCELLED
    assert either.cancel(job.id) is CancelReply.FINISHED


def test_cancel_of_a_running_job_is_requested(
    either: Any, claim_jobs: Callable[[], list[Settlement]]
) -> None:
    """A job that runs is ended by its orchestrator; the producer only asks."""
    job = either.enqueue("f")
    claim_jobs()
    assert either.cancel(job.id) is CancelReply.REQUESTED


def test_an_unknown_job_is_said_to_be_unknown(either: Any) -> None:
    """Looking returns None; waiting and cancelling are errors. An impossible id is refused."""
    assert either.get_job_status("nobody") is None
    for call in (either.wait, either.cancel):
        with pytest.raises(JobNotFound, match="nobody"):
            call("nobody")
    for call in (either.wait, either.cancel, either.get_job_status):
        with pytest.raises(InvalidName):
            call("no body")


def test_a_key_of_another_type_is_named(either: Any, redis_client: Any, keyspace: Keyspace) -> None:
    """A queue key that is no queue is an error that says so; nothing of it is changed (F40)."""
    redis_client.set(keyspace.queue("default"), "mine")
    with pytest.raises(WrongKeyType):
        either.enqueue("f")
    with pytest.raises(WrongKeyType):
        either.enqueue_many([Job("f")])
    assert redis_client.get(keyspace.queue("default")) == b"mine"


def test_a_closed_producer_says_so(either: Any) -> None:
    """After closing, every call is an error that says what to do."""
    job = either.enqueue("f")
    either.close()
    for call in (either.enqueue, either.wait):
        with pytest.raises(ProducerClosed):
            call(job.id)


def test_settings_make_the_defaults(
    tmp_path: Path, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """A producer made from settings, or from their file, uses their server, prefix, queue and limits."""
    file = tmp_path / "rrq.toml"
    file.write_text(
        f'[rrq]\nredis_dsn = "{redis_url}"\nkey_prefix = "{keyspace.prefix}"\ndefault_queue_name = "mail"\n'
        "default_max_retries = 2\nmax_payload_bytes = 1000\n"
    )
    for settings in (file, str(file), load_settings(file)):
        with Producer.from_settings(settings) as producer:
            job = producer.enqueue("f")
            with pytest.raises(PayloadTooLarge):
                producer.enqueue("f", {"x": "y" * 1000})
        assert redis_client.hget(keyspace.job(job.id), "max_retries") == b"2"
        assert redis_client.zscore(keyspace.queue("mail"), job.id) is not None


def test_a_producer_does_not_show_the_password() -> None:
    """Neither repr nor str of a producer holds the password (S8)."""
    shown = repr(Producer("redis://user:canary@localhost:1/0"))
    assert "canary" not in shown
    assert "localhost:1" in shown


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"redis_dsn": "localhost:6379"}, SettingsError),
        ({"redis_dsn": "redis://localhost:port"}, SettingsError),
        ({"redis_dsn": "redis://localhost", "queue_name": "rrq:queue:x"}, InvalidName),
        ({"redis_dsn": "redis://localhost", "key_prefix": ""}, InvalidName),
        ({"redis_dsn": 5}, SettingsError),
        ({"redis_dsn": "redis://localhost", "queue_name": b"q"}, InvalidName),
        ({"redis_dsn": "redis://localhost", "key_prefix": None}, InvalidName),
        ({"redis_dsn": "redis://localhost", "timeout_seconds": 0}, InvalidArgument),
        ({"redis_dsn": "redis://localhost", "timeout_seconds": "5"}, InvalidArgument),
        ({"redis_dsn": "redis://localhost", "timeout_seconds": math.nan}, InvalidArgument),
        ({"redis_dsn": "redis://localhost", "max_connections": 0}, InvalidArgument),
        ({"redis_dsn": "redis://localhost", "max_connections": 1.5}, InvalidArgument),
        ({"redis_dsn": "redis://localhost", "max_connections": math.inf}, InvalidArgument),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    """What can be seen to be wrong is refused when the producer is made, or at its first use."""
    with pytest.raises(error):
        Producer(**arguments).enqueue("f")


@pytest.mark.parametrize("settings", [5, b"rrq.toml", {"redis_dsn": "redis://localhost"}, object()])
def test_settings_of_another_kind_are_refused(settings: Any) -> None:
    """Settings are settings, or the name of their file."""
    for make in (Producer.from_settings, AsyncProducer.from_settings, RRQClient):
        with pytest.raises(SettingsError, match="settings: expected Settings or the name of a file"):
            make(settings)


def test_wait_needs_a_time(either: Any) -> None:
    """A timeout that is no time is refused."""
    with pytest.raises(ValueError, match="timeout"):
        either.wait("x", "soon")


def test_the_base_opens_nothing() -> None:
    """The common part leaves the connections to the two producers."""
    with pytest.raises(NotImplementedError):
        ProducerBase("redis://localhost")


WRONG_ARGUMENTS: list[tuple[type[RRQError], str, Callable[[Any], Any]]] = [
    (InvalidJob, "trace_context", lambda p: p.enqueue("f", trace_context="x")),
    (InvalidJob, "correlation_context", lambda p: p.enqueue("f", correlation_context=[])),
    (InvalidJob, "params", lambda p: p.enqueue("f", {1: "x"})),
    (InvalidJob, "params", lambda p: p.enqueue("f", {"x": 10**5000})),
    (InvalidJob, "max_retries", lambda p: p.enqueue("f", max_retries=10**5000)),
    (InvalidJob, "job_timeout_seconds", lambda p: p.enqueue("f", job_timeout_seconds=b"5")),
    (InvalidJob, "jobs", lambda p: p.enqueue_many(None)),
    (InvalidJob, "jobs", lambda p: p.enqueue_many(Job("f"))),
    (InvalidJob, "jobs[1].max_retries", lambda p: p.enqueue_many([Job("f"), Job("f", max_retries=0)])),
    (InvalidJob, "job", lambda p: p.enqueue_job("f")),
    (InvalidJob, "guard", lambda p: p.enqueue_job(Job("f"), "reschedule")),
    (InvalidJob, "guard", lambda p: p.enqueue_job(Job("f"), Guard("rate_limit", "k", 5))),
    (
        InvalidJob, "rate_limit_key",
        lambda p: p.enqueue_with_rate_limit("f", rate_limit_key=5, rate_limit_seconds=1),
    ),
    (
        InvalidJob, "debounce_seconds",
        lambda p: p.enqueue_with_debounce("f", debounce_key="k", debounce_seconds=10**400),
    ),
    (InvalidName, "job id", lambda p: p.get_job_status(None)),
    (InvalidName, "job id", lambda p: p.get_job_status(b"x")),
    (InvalidName, "job id", lambda p: p.wait("x" * 129, 1)),
    (InvalidName, "job id", lambda p: p.cancel({"x": 10**5000})),
    (InvalidArgument, "timeout", lambda p: p.wait("x", math.nan)),
    (InvalidArgument, "timeout", lambda p: p.wait("x", True)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "field", "call"), WRONG_ARGUMENTS, ids=lambda value: str(value)[:20])
def test_a_wrong_argument_is_named_and_nothing_is_written(
    either: Any, error: type[RRQError], field: str, call: Callable[[Any], Any], redis_client: Any,
    keyspace: Keyspace,
) -> None:  # fmt: skip
    """Whatever any method is given that it cannot use, the error is one of ours, names it, and nothing was
    sent."""
    with pytest.raises(error) as refused:
        call(either)
    assert field in (getattr(refused.value, "field", None), getattr(refused.value, "kind", None))
    assert redis_client.keys(f"{keyspace.prefix}:*") == []


@pytest.mark.parametrize("timeout", [-1, -math.inf, 10**400, math.inf, timedelta.max])
def test_any_time_may_be_waited_for(either: Any, finish: Callable[[], list[str]], timeout: Any) -> None:
    """No time at all means to look once, and a time beyond all measure is for as long as it takes."""
    job = either.enqueue("f")
    finish()
    assert either.wait(job.id, timeout).result == {"ok": True}
