"""The users that docs/operations.md proposes: each can do its work, and nothing else (RELIABILITY.md S18)."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from rrq_producer import AsyncProducer, Producer
from rrq_protocol import Job, JobStatus, Keyspace
from support.redis_choice import for_integration
from support.redis_servers import RedisServer
from support.road import Road
from support.waiting import eventually

WITHIN_S = 30
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
USERS = ("producer", "orchestrator", "operator", "viewer")
# Told at each connection, by clients that do not mind the answer.
_NO_MATTER = ("client|setinfo",)


def _recipes() -> list[list[str]]:
    """Return the commands in the document, in order."""
    return [line.split() for line in re.findall(r"^ACL SETUSER .*$", OPERATIONS.read_text(), re.MULTILINE)]


class Site:
    """A server with these users, and a road whose orchestrator is one of them."""

    def __init__(self, server: RedisServer, road: Road) -> None:
        self.server, self.road = server, road

    def url(self, user: str) -> str:
        """Return how a user connects."""
        return self.server.url.replace("redis://", f"redis://rrq-{user}:PASSWORD@")

    def refusals(self) -> list[str]:
        """Return what the server refused since it was asked last, also inside scripts."""
        found = [entry for entry in self.road.client.acl_log() if entry["object"] not in _NO_MATTER]
        self.road.client.acl_log_reset()
        return [f"{entry['username']}: {entry['object']} ({entry['context']})" for entry in found]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve a server with the users of the document."""
    server = for_integration().own(append_only=False)
    with closing(server):
        server.start()
        with Road(server.url, Keyspace("rrq")) as road:
            for command in _recipes():
                road.client.execute_command(*command)  # type: ignore[no-untyped-call]
            made = Site(server, road)
            runners = {"python": {"app": "handlers:settings", "pool_size": 1}}
            times = {"reconcile_interval_seconds": 0.2, "lease_seconds": 4, "lease_beat_seconds": 0.5}
            road.configure(runners, redis_dsn=made.url("orchestrator"), **times)
            with (road.folder / "rrq.toml").open("a") as file:
                file.write('[[rrq.cron_jobs]]\nfunction_name = "work"\nschedule = "* * * * * *"\n')
            yield made
            road.assert_nothing_left()


@pytest.fixture(autouse=True)
def _a_clean_log(site: Site) -> None:
    site.refusals()


def test_there_is_a_recipe_for_each_user() -> None:
    """The document has no user besides these."""
    assert {command[2] for command in _recipes()} == {f"rrq-{user}" for user in USERS}


def test_a_producer(site: Site) -> None:
    """Whatever a producer can do, it may; the orchestrator runs its jobs under its own user meanwhile."""
    with site.road.running(), Producer(site.url("producer")) as producer:
        done = producer.enqueue("plain", {"word": "x"}, unique_key="u", unique_ttl_seconds=60)
        assert producer.wait(done.id, WITHIN_S).status is JobStatus.COMPLETED
        failed = producer.enqueue("no-such-handler", {})
        assert producer.wait(failed.id, WITHIN_S).status is JobStatus.FAILED
        held = producer.enqueue("hold", {"gate": "never"})
        site.road.seen(1, held.id)
        producer.cancel(held.id)
        assert producer.wait(held.id, WITHIN_S).status is JobStatus.CANCELLED
        later = producer.enqueue("plain", {"word": "x"}, defer_by=3600)
        producer.cancel(later.id)
        params = {"word": "x"}
        assert producer.enqueue_with_rate_limit("plain", params, rate_limit_key="k", rate_limit_seconds=5)
        producer.enqueue_with_debounce("plain", params, debounce_key="k", debounce_seconds=1)
        producer.enqueue_many([Job("plain", {"word": "x"}) for _ in range(3)])
        eventually(lambda: not site.road.findings(), "everything to be in order")
    assert site.refusals() == []


@pytest.mark.anyio
async def test_an_async_producer(site: Site) -> None:
    """It needs the same rights."""
    async with AsyncProducer(site.url("producer")) as producer:
        job = await producer.enqueue("plain", {"word": "x"}, queue_name="elsewhere")
        with pytest.raises(TimeoutError):
            await producer.wait(job.id, 0.2)
        await producer.cancel(job.id)
    assert site.refusals() == []


def test_an_orchestrator_takes_over_from_a_dead_one(site: Site) -> None:
    """Fencing, recovery and repair are within its rights."""
    with site.road.start() as first:
        site.road.ready(first)
        held = site.road.producer.enqueue("hold", {"gate": "later"})
        site.road.seen(1, held.id)
        first.kill(9)
        first.code()
        with site.road.running() as second:
            second.wait_for("orchestrator.fenced")
            site.road.seen(2, held.id)
            site.road.open("later")
            assert site.road.result(held.id).status is JobStatus.COMPLETED
    assert site.refusals() == []


LOOKING = (
    "check", "queue stats", "queue inspect default", "job list", "job trace {job}", "dlq stats",
    "dlq inspect {job}",
)  # fmt: skip
CHANGING = (
    "dlq requeue --job-id {job}", "job cancel {job}", "job why {job}", "queue pause spare",
    "queue resume spare", "queue purge spare --yes", "worker list", "debug clear --dry-run", "doctor",
)  # fmt: skip


@pytest.mark.parametrize(("user", "commands"), [("viewer", LOOKING), ("operator", CHANGING)])
def test_a_person(site: Site, user: str, commands: tuple[str, ...]) -> None:
    """Whoever looks needs no right to write; an operator may run every command."""
    with site.road.running():
        job = site.road.producer.enqueue("no-such-handler", {})
        assert site.road.result(job.id).status is JobStatus.FAILED
        for command in commands:
            words = command.format(job=job.id).split()
            answer = site.road.command("rrq_cli", *words, "--redis-dsn", site.url(user))
            assert "NOPERM" not in answer.stdout + answer.stderr
            assert answer.returncode in (0, 1), answer.stderr
    assert site.refusals() == []


def test_a_viewer_is_told_what_it_may_not(site: Site) -> None:
    """A command that writes says in a sentence that the right is missing."""
    job = site.road.producer.enqueue("plain", {"word": "x"}, queue_name="elsewhere")
    answer = site.road.command("rrq_cli", "job", "cancel", job.id, "--redis-dsn", site.url("viewer"))
    assert answer.returncode == 1
    assert "may not do that" in answer.stderr
    assert site.road.record(job.id).status is JobStatus.PENDING


EVERYBODY = (
    "KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG SET maxclients 99", "SHUTDOWN NOSAVE", "SCRIPT FLUSH",
    "SCRIPT KILL", "ACL LIST", "MONITOR", "CLIENT LIST", "SWAPDB 0 1", "RANDOMKEY", "GET other:key",
    "SET other:key x", "SUBSCRIBE other", "PUBLISH other x", "EVAL return(redis.call('GET','other:key')) 0",
)  # fmt: skip
BESIDES = {
    "producer": (
        "SCAN 0", "ZRANGE rrq:workers 0 -1", "ZADD rrq:workers 1 x", "LRANGE rrq:dlq:default 0 -1",
        "SET rrq:health:worker:x y", "SUBSCRIBE rrq:other", "INFO", "CONFIG GET save",
    ),
    "orchestrator": ("CONFIG GET save", "DBSIZE"),
    "operator": (),
    "viewer": ("DEL rrq:queues", "EVAL return(1) 0", "CONFIG GET save", "SET rrq:paused x"),
}  # fmt: skip


@pytest.mark.parametrize("user", USERS)
def test_nothing_else(site: Site, user: str) -> None:
    """Commands that see or harm others are refused, and so are others' keys and channels."""
    for text in EVERYBODY + BESIDES[user]:
        with redis.Redis.from_url(site.url(user)) as client:
            with pytest.raises(redis.ResponseError) as refused:
                client.execute_command(*text.split())
            said = str(refused.value)
            assert "permission" in said or "can't access" in said or "can't run" in said, (text, said)
    assert site.road.client.ping()
