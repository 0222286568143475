"""The doctor's examination: nothing is written without a repair, and nothing is reported that only moves."""

import random
from typing import Any

import pytest
import redis
import redis.asyncio

from rrq_orchestrator.audit import Level, Rules
from rrq_orchestrator.examination import Diagnosis, Examination
from rrq_orchestrator.store import RedisLinks
from rrq_protocol import Job, Keyspace, SystemClock
from rrq_protocol.transitions import ClaimRequest, RepairReply, claim
from support.audit import read_keys
from support.orchestrating import LOG, Bench
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


class Waits:
    """Notes each pause instead of making it, and does something then."""

    def __init__(self, *acts: Any) -> None:
        self.seconds: list[float] = []
        self._acts = list(acts)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self._acts:
            await self._acts.pop(0)


def examination(bench: Bench, waits: Waits) -> Examination:
    """Return an examination of the test's keys."""
    return Examination(bench.keyspace, bench.link, Rules(conserved=True), SystemClock(), waits)


async def test_order_is_found_without_a_pause(bench: Bench) -> None:
    """Nothing wrong, nothing to look at again."""
    await bench.enqueue(Job("work"))
    waits = Waits()
    diagnosis = await examination(bench, waits).diagnose(repair_after_s=20.0)
    assert (diagnosis.findings, diagnosis.repairs, diagnosis.jobs, waits.seconds) == ((), (), 1, [])
    assert {check.subject for check in diagnosis.checks} >= {"version", "persistence", "memory", "scripts"}


async def test_what_only_moves_is_not_reported(bench: Bench) -> None:
    """A fault that is gone a moment later was a job on its way."""
    (job_id,) = await bench.enqueue(Job("work"))
    queue = bench.keyspace.queue("default")
    await bench.client.delete(queue)
    diagnosis = await examination(bench, Waits(bench.client.zadd(queue, {job_id: 1}))).diagnose()
    assert diagnosis.findings == ()


async def test_jobs_that_nobody_takes_back_are_reported(bench: Bench) -> None:
    """An orchestrator that has been dead for long while another lives is an error, unless that is just done
    (I14).
    """
    now_ms = SystemClock().now_ms()
    await bench.client.zadd(bench.keyspace.workers, {"living": now_ms + 3_600_000})
    await bench.client.zadd(bench.keyspace.reaping, {"dead": now_ms - 3_600_000})
    diagnosis = await examination(bench, Waits()).diagnose(repair_after_s=20.0)
    assert [(each.rule, each.level, each.key) for each in diagnosis.findings] == [
        ("I14", Level.ERROR, bench.keyspace.reaping)
    ]
    done = Waits(bench.client.zrem(bench.keyspace.reaping, "dead"))
    assert (await examination(bench, done).diagnose()).findings == ()


async def test_looking_writes_nothing(bench: Bench, redis_client: "redis.Redis") -> None:
    """Every key is as it was, and what is wrong is an error."""
    await bench.enqueue(Job("work"))
    await bench.client.delete(bench.keyspace.queue("default"))
    before = read_keys(redis_client, bench.keyspace)
    diagnosis = await examination(bench, Waits()).diagnose()
    assert "I1" in {each.rule for each in diagnosis.findings}
    assert diagnosis.worst() is Level.ERROR
    assert read_keys(redis_client, bench.keyspace) == before


async def test_a_repair_keeps_its_distance(bench: Bench) -> None:
    """Confirmed after a moment, repaired two leases later, and looked at once more."""
    await bench.enqueue(Job("work"), Job("work"))
    await bench.client.delete(bench.keyspace.queue("default"))
    waits = Waits()
    diagnosis = await examination(bench, waits).diagnose(repair_after_s=20.0)
    assert waits.seconds == [1.0, 20.0]
    assert [reply for _, reply in diagnosis.repairs] == [RepairReply.REPAIRED] * 2
    assert diagnosis.findings == ()


@pytest.mark.parametrize(
    ("lost", "keys"), [(1, ("job", "queue")), (-2, ("stats",))], ids=["lost", "uncounted"]
)
async def test_counters_that_do_not_add_up_are_made_good(
    bench: Bench, lost: int, keys: tuple[str, ...]
) -> None:
    """Jobs that are nowhere are noted as lost, and those that nobody counted in as the contrary; the next
    examination finds everything in order.
    """
    ids = await bench.enqueue(Job("work"), Job("work"))
    if "job" in keys:
        await bench.client.delete(bench.keyspace.job(ids[0]))
        await bench.client.zrem(bench.keyspace.queue("default"), ids[0])
    else:
        await bench.client.delete(bench.keyspace.stats("default"))
    diagnosis = await examination(bench, Waits()).diagnose(repair_after_s=20.0)
    assert [(each.rule, reply) for each, reply in diagnosis.repairs] == [("I13", RepairReply.REPAIRED)]
    assert diagnosis.findings == ()
    assert await bench.client.hget(bench.keyspace.stats("default"), "lost") == str(lost).encode()


async def test_a_lost_unique_key_is_taken_again(bench: Bench) -> None:
    """By the job that has it, if it has not ended; where another job took it meanwhile it is left to that."""
    first, second = await bench.enqueue(Job("work", unique_key="u"), Job("work", unique_key="v"))
    key, other = bench.keyspace.idempotency("u"), bench.keyspace.idempotency("v")
    await bench.client.delete(key, other)
    (third,) = await bench.enqueue(Job("work", unique_key="v"))
    diagnosis = await examination(bench, Waits()).diagnose(repair_after_s=20.0)
    assert [(each.job_id, each.rule, reply) for each, reply in diagnosis.repairs] == [
        (first, "I9", RepairReply.REPAIRED)
    ]
    assert diagnosis.findings == ()
    assert await bench.client.get(key) == first.encode()
    assert await bench.client.get(other) == third.encode() != second.encode()


async def test_two_doctors_make_the_counters_good_once(bench: Bench) -> None:
    """The second finds that somebody was there before."""
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.client.delete(bench.keyspace.job(job_id), bench.keyspace.queue("default"))

    async def nothing() -> None:
        """Let the first pause pass."""

    other = examination(bench, Waits()).diagnose(repair_after_s=20.0)
    diagnosis = await examination(bench, Waits(nothing(), other)).diagnose(repair_after_s=20.0)
    assert (diagnosis.findings, diagnosis.repairs) == ((), ())
    assert await bench.client.hget(bench.keyspace.stats("default"), "lost") == b"1"


async def test_a_counter_that_redis_cannot_add_to_ends_the_repair(bench: Bench) -> None:
    """What is told again after its repair is not repaired for ever."""
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.client.delete(bench.keyspace.job(job_id), bench.keyspace.queue("default"))
    await bench.client.hset(bench.keyspace.stats("default"), "lost", "007")
    diagnosis = await examination(bench, Waits()).diagnose(repair_after_s=20.0)
    assert [each.rule for each in diagnosis.findings] == ["I13"]


async def test_what_moved_before_the_repair_is_left_alone(bench: Bench) -> None:
    """The second observation has to be the same as the first."""
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.client.delete(bench.keyspace.queue("default"))

    async def nothing() -> None:
        """Let the first pause pass."""

    moves = bench.client.hset(bench.keyspace.job(job_id), "claim_seq", "4")
    diagnosis = await examination(bench, Waits(nothing(), moves)).diagnose(repair_after_s=20.0)
    assert diagnosis.repairs == ()
    assert "I1" in {each.rule for each in diagnosis.findings}


@pytest.mark.parametrize(
    ("rights", "unknown", "errors"),
    [
        (["+@all", "-info", "-config"], {"server"}, set()),
        (["+@all", "-time"], {"clock"}, {"scripts"}),
        (["+@all", "-eval", "-evalsha"], set(), {"scripts"}),
        (["+@all", "-scan"], set(), {"keys"}),
        (["+@all", "-multi"], set(), set()),
        (["+ping"], {"server", "clock"}, {"scripts", "keys"}),
    ],
)
async def test_narrow_rights(
    own_redis: RedisServer, keyspace: Keyspace, rights: list[str], unknown: set[str], errors: set[str]
) -> None:
    """What may not be asked is said to be unknown; only what RRQ cannot do without is an error."""
    with redis.Redis.from_url(own_redis.url) as admin:
        name = "narrow" + "".join(each for each in "".join(rights) if each.isalnum())
        commands = [each for each in rights if "@" not in each]
        admin.acl_setuser(
            name, enabled=True, nopass=True, keys=["*"], channels=["*"], commands=commands,
            categories=[each for each in rights if "@" in each],
        )  # fmt: skip
    url = own_redis.url.replace("redis://", f"redis://{name}:any@")
    links = RedisLinks(url, "test", LOG, random.Random(1))
    made = Examination(keyspace, links.make("doctor"), Rules(conserved=True), SystemClock(), Waits())
    diagnosis = await made.diagnose()
    await links.aclose()
    levels = {check.subject: check.level for check in diagnosis.checks}
    assert {subject for subject, level in levels.items() if level is Level.INFO} >= unknown
    assert {subject for subject, level in levels.items() if level is Level.ERROR} == errors


@pytest.mark.slow
async def test_after_an_eviction_what_is_left_fits_together(
    own_redis: RedisServer, keyspace: Keyspace
) -> None:
    """In 5 MiB with allkeys-lru queues vanish whose jobs are still there, and the other way round: the doctor
    says why, and a repair mends what is left (F38; slow: fills a memory).
    """
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        bench = Bench(own_redis.url, keyspace, client)
        await bench.register("o1")
        await client.config_set("maxmemory", 5 * 1024 * 1024)
        await client.config_set("maxmemory-policy", "allkeys-lru")
        # A queue is as old as the jobs in it, so either may go first.
        for number in range(800):
            queue = f"q{number}"
            await bench.enqueue(*(Job("work", {"fill": "x" * 500}, queue_name=queue) for _ in range(10)))
            await bench.run(claim(keyspace, "o1", [ClaimRequest(queue, "python", 3)], {}))
        assert (await client.info("stats"))["evicted_keys"] > 0
        memory = [each for each in (await _diagnosis(bench)).checks if each.subject == "memory"]
        assert {each.level for each in memory} == {Level.ERROR, Level.WARNING}
        assert any(
            "maxmemory-policy is allkeys-lru: full memory deletes jobs" in each.text for each in memory
        )
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", 0)
        before = await _diagnosis(bench)
        assert "I1" in {each.rule for each in before.findings}
        after = await _diagnosis(bench, repair_after_s=20.0)
        assert {each.rule for each in after.findings} <= {"I13"}
        assert {each.level for each in after.checks if each.subject == "memory"} == {Level.OK, Level.WARNING}
        await bench.aclose()


async def _diagnosis(bench: Bench, **options: Any) -> Diagnosis:
    return await examination(bench, Waits()).diagnose(**options)


def test_the_worst_of_nothing_is_fine() -> None:
    """Without checks and findings there is nothing wrong."""
    assert Diagnosis(()).worst() is Level.OK
