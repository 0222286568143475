"""Redis behind TLS, with a private authority and certificates on both sides (RELIABILITY.md S20)."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from rrq_producer import AsyncProducer, Producer, RedisRefused
from rrq_protocol import JobStatus, Keyspace, Settings, load_settings
from rrq_protocol.settings import parse_settings
from support.processes import Command, run_module
from support.road import Road
from support.tls import Certificates, TlsServer

WITHIN_S = 30


@dataclass
class Site:
    """A server behind TLS, and a road to it."""

    server: TlsServer
    certificates: Certificates
    road: Road

    def settings(self) -> Settings:
        """Return what stands in the settings file."""
        return load_settings(self.road.folder / "rrq.toml", environ={})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a server that lets nobody in without a certificate of its authority."""
    certificates = Certificates(tmp_path_factory.mktemp("tls"))
    server = TlsServer(certificates)
    with closing(server), Road(server.url, Keyspace("rrq")) as road:
        server.start()
        road.configure(
            {"python": {"app": "handlers:settings", "pool_size": 1}},
            redis_dsn=server.address,
            **certificates.settings(),
        )
        yield Site(server, certificates, road)
        road.assert_nothing_left()


def test_the_whole_road(site: Site) -> None:
    """A job goes from a producer through an orchestrator and back; the command line reads along."""
    with site.road.running(), Producer.from_settings(site.settings()) as producer:
        job = producer.enqueue("plain", {"word": "x"})
        assert producer.wait(job.id, WITHIN_S).status is JobStatus.COMPLETED
        for arguments in (
            ("check",),
            ("queue", "list"),
            ("doctor", "--errors-only"),
            ("job", "show", job.id),
        ):
            done = site.road.command("rrq_cli", *arguments)
            assert done.returncode == 0, done.stderr


@pytest.mark.anyio
async def test_the_async_producer(site: Site) -> None:
    """It takes the same settings."""
    async with AsyncProducer.from_settings(site.settings()) as producer:
        job = await producer.enqueue("plain", {"word": "x"}, queue_name="elsewhere")
        assert await producer.get_job_status(job.id) is not None


@pytest.mark.anyio
async def test_renewed_certificates(site: Site) -> None:
    """Files that were replaced are read when somebody connects again: nobody has to be restarted, though the
    old authority and the old certificates are of no use any more."""
    settings = site.settings()
    with site.road.running() as daemon, Producer.from_settings(settings) as producer:
        async with AsyncProducer.from_settings(settings) as other:
            jobs = [producer.enqueue("plain", {"word": "x"}), await other.enqueue("plain", {"word": "y"})]
            for job in jobs:
                assert (await other.wait(job.id, WITHIN_S)).status is JobStatus.COMPLETED
            site.server.renew(site.road.client)
            daemon.wait_for("redis.back")
            jobs = [producer.enqueue("plain", {"word": "x"}), await other.enqueue("plain", {"word": "y"})]
            for job in jobs:
                assert (await other.wait(job.id, WITHIN_S)).status is JobStatus.COMPLETED
                assert producer.wait(job.id, WITHIN_S).status is JobStatus.COMPLETED


def _problem(site: Site, **changed: Any) -> str:
    """Return what a producer says of a server it cannot use."""
    given = {"redis_dsn": site.server.address, **site.certificates.settings(), **changed}
    settings = parse_settings({key: value for key, value in given.items() if value is not None})
    with Producer.from_settings(settings) as producer, pytest.raises(RedisRefused) as refused:
        producer.enqueue("plain", {})
    return str(refused.value)


def test_a_server_signed_by_others_is_refused(site: Site) -> None:
    """Without its authority a server is not believed, and the setting that is missing is named."""
    problem = _problem(site, redis_tls_ca_file=None)
    assert "certificate" in problem
    assert "redis_tls_ca_file" in problem


def test_a_server_of_another_name_is_refused(site: Site) -> None:
    """The certificate is for localhost, not for its number; who knows better may say so."""
    address = site.server.address.replace("localhost", "127.0.0.1")
    assert "127.0.0.1" in _problem(site, redis_dsn=address)
    given = {**site.certificates.settings(), "redis_tls_check_hostname": False, "redis_dsn": address}
    with Producer.from_settings(parse_settings(given)) as producer:
        assert producer.enqueue("plain", {}, queue_name="elsewhere").created


def test_the_orchestrator_and_the_command_line_say_what_is_missing(site: Site) -> None:
    """Both name the settings of certificates; neither falls back to anything."""
    environment = {
        "RRQ_REDIS_DSN": site.server.address.replace("localhost", "127.0.0.1"),
    }
    done = run_module("rrq_cli", "check", cwd=site.road.folder, env=environment)
    assert done.returncode == 1
    assert "redis_tls_ca_file" in done.stdout + done.stderr
    variables = {**site.road.environment(), **environment}
    with Command("rrq_orchestrator", "--config", "rrq.toml", cwd=site.road.folder, env=variables) as daemon:
        assert "redis_tls_ca_file" in daemon.wait_for("redis.lost")


def test_no_downgrade(site: Site) -> None:
    """Certificates with redis:// are a mistake that is told, not ignored."""
    variables = {"RRQ_REDIS_DSN": "redis://localhost:6379/0"}
    done = run_module("rrq_cli", "config", "check", cwd=site.road.folder, env=variables)
    assert done.returncode == 78
    assert "rediss://" in done.stderr
