"""The call style of RRQ's first line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rrq_producer import AsyncProducer, DuplicateJob, InvalidJob, JobStatus, RRQClient, Settings
from rrq_protocol import Keyspace, Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(redis_url: str, keyspace: Keyspace) -> Settings:
    """Return settings for the session's Redis and the test's key space."""
    return Settings(redis_dsn=Secret(redis_url), key_prefix=keyspace.prefix)


async def test_arguments_become_parameters(settings: Settings, redis_client: Any, keyspace: Keyspace) -> None:
    """Positional arguments travel as ``args``, keyword arguments by name, underscored ones are options."""
    client = RRQClient(settings=settings)
    job = await client.enqueue(
        "process_message", "hello", 2, item_id=123, function_name="mine", _queue_name="mail",
        _unique_key="u", _max_retries=2, _job_timeout_seconds=7, _result_ttl_seconds=60,
        _defer_by=timedelta(seconds=5),
    )  # fmt: skip
    record = redis_client.hgetall(keyspace.job(job.id))
    assert record[b"job_params"] == b'{"args":["hello",2],"item_id":123,"function_name":"mine"}'
    assert (record[b"max_retries"], record[b"job_timeout_seconds"]) == (b"2", b"7")
    assert redis_client.zscore(keyspace.queue("mail"), job.id) is not None
    status = await client.get_job_status(job.id)
    assert status is not None
    assert status.status is JobStatus.PENDING
    with pytest.raises(TimeoutError):
        await client.wait(job.id, 0)
    with pytest.raises(InvalidJob, match="args"):
        await client.enqueue("f", 1, args=2)
    await client.close()


async def test_a_deferral_with_an_id_reschedules(
    settings: Settings, redis_client: Any, keyspace: Keyspace
) -> None:
    """``_job_id`` with a deferral moves the pending job of that id; without one, the id stays taken."""
    async with RRQClient(settings=settings) as client:
        await client.enqueue("f", n=1, _job_id="one", _defer_by=10)
        until = datetime.now(UTC) + timedelta(hours=1)
        job = await client.enqueue("f", n=2, _job_id="one", _defer_until=until)
        assert job.id == "one"
        assert redis_client.hget(keyspace.job("one"), "job_params") == b'{"n":2}'
        due = redis_client.zscore(keyspace.queue("default"), "one")
        assert due == pytest.approx(until.timestamp() * 1000, abs=1)
        with pytest.raises(DuplicateJob):
            await client.enqueue("f", n=3, _job_id="one")


async def test_a_job_that_has_ended_is_not_rescheduled(
    settings: Settings, redis_client: Any, keyspace: Keyspace
) -> None:
    """It is an error that says so, whatever the parameters: no job would run for the call."""
    async with RRQClient(settings=settings) as client, AsyncProducer.from_settings(settings) as producer:
        await client.enqueue("f", n=1, _job_id="one", _defer_by=10)
        await producer.cancel("one")
        for n in (1, 2):
            with pytest.raises(DuplicateJob, match="'one' has ended and cannot be rescheduled") as caught:
                await client.enqueue("f", n=n, _job_id="one", _defer_by=10)
            assert (caught.value.reason, caught.value.job_id) == ("job_ended", "one")
    assert redis_client.zcard(keyspace.queue("default")) == 0


async def test_a_client_is_made_from_an_address_or_a_file(
    redis_url: str, tmp_path: Path, keyspace: Keyspace
) -> None:
    """Settings may be given, read from a file, or replaced by an address; not both."""
    file = tmp_path / "rrq.toml"
    file.write_text(f'redis_dsn = "{redis_url}"\nkey_prefix = "{keyspace.prefix}"\n')
    async with RRQClient(file) as client:
        assert (await client.enqueue("f")).created
    async with RRQClient(redis_dsn=redis_url) as client:
        assert await client.get_job_status("no-such-job-of-any-test") is None
    with pytest.raises(TypeError, match="not both"):
        RRQClient(file, redis_dsn=redis_url)
    await client.aclose()
