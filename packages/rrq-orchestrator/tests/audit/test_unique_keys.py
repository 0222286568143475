"""The look of a reconciler makes the unique keys of jobs that go on last."""

from typing import Any

from rrq_orchestrator.audit import Look, Rules
from rrq_orchestrator.audit.unique_keys import keep_keys
from rrq_protocol import Job, Keyspace
from rrq_protocol.transitions import SettleKind
from support.audit import look_with, read_keys
from support.transitions import Transitions


def test_what_goes_on_keeps_its_key(redis_client: Any, keyspace: Keyspace) -> None:
    """Keys of jobs that wait or run last, or are taken again; of ended ones none comes back."""
    t = Transitions(redis_client, keyspace)
    t.register("a")
    t.enqueue(*(Job("f", job_id=f"j{n}", unique_key=f"u{n}") for n in range(30)), Job("f", job_id="plain"))
    for job in t.claim("a", 9).jobs[:3]:
        t.end(job, SettleKind.COMPLETE)
    for n in range(30):
        redis_client.pexpire(keyspace.idempotency(f"u{n}"), 60_000)
    redis_client.delete(keyspace.idempotency("u7"), keyspace.idempotency("u20"))
    look_with(redis_client, Look(keyspace, Rules(), step=7, keys=True).everything())
    left = [redis_client.pttl(keyspace.idempotency(f"u{n}")) for n in range(30)]
    assert left[:3] == [-2] * 3
    assert min(left[3:]) > 3_600_000
    assert t.audit() == ()


def test_others_only_look(redis_client: Any, keyspace: Keyspace) -> None:
    """A look of anybody else, and one at jobs without keys, writes and asks nothing."""
    t = Transitions(redis_client, keyspace)
    t.add("j", unique_key="u")
    redis_client.delete(keyspace.idempotency("u"))
    before = read_keys(redis_client, keyspace)
    look_with(redis_client, Look(keyspace, Rules()).everything())
    assert read_keys(redis_client, keyspace) == before
    assert list(keep_keys([("j", {"status": "PENDING"}, False)], keyspace)) == []
