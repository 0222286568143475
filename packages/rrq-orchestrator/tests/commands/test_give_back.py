"""A dead child's jobs are given back without waiting for its lease."""

import pytest
import redis

from rrq_orchestrator.commands.give_back import give_back
from rrq_protocol import Keyspace, Settings
from rrq_protocol.settings import parse_settings
from support.transitions import Transitions


def settings_of(url: str, keyspace: Keyspace) -> Settings:
    """Return settings for a Redis and a prefix."""
    return parse_settings({"redis_dsn": url, "key_prefix": keyspace.prefix})


def test_only_the_childs_jobs_are_taken_back(
    redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace
) -> None:
    """Its current incarnation and one that was fenced before; a living neighbour keeps what it has."""
    t = Transitions(redis_client, keyspace)
    token = "00112233445566ff"
    child, before, other = (f"rrq_worker_h_1_{each}" for each in (token + "a", token + "b", "ffff"))
    for name, job_id in ((child, "current"), (before, "earlier"), (other, "stays")):
        t.start(job_id, name)
    t.fence(before)
    done = give_back(settings_of(redis_url, keyspace), token)
    assert done == {"recovered": 2, "dead_lettered": 0, "cancelled": 0}
    assert [t.record(job_id)["status"] for job_id in ("current", "earlier", "stays")] == [
        "PENDING",
        "PENDING",
        "ACTIVE",
    ]
    assert redis_client.zrange(keyspace.workers, 0, -1) == [other.encode()]
    assert give_back(settings_of(redis_url, keyspace), token) == dict.fromkeys(done, 0)


def test_an_unreachable_redis_is_an_error(keyspace: Keyspace) -> None:
    """The parent tells of it and leaves the jobs to the janitors."""
    with pytest.raises(ConnectionError):
        give_back(settings_of("redis://127.0.0.1:1/0", keyspace), "00")
