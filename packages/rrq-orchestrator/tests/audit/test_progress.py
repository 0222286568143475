"""The living take over from the dead, and where they do not it is found (I14)."""

from typing import Any

import pytest

from rrq_orchestrator.audit import Rules
from rrq_orchestrator.audit.progress import judge_progress, progress
from rrq_protocol import Keyspace
from support.audit import look_with

NOW = 1_000_000.0
LATE = NOW - 60_001
KEYS = Keyspace()
RULES = Rules(lease_s=10.0)


@pytest.mark.parametrize(
    ("leases", "dead", "keys"),
    [
        ({}, {}, []),
        ({"a": NOW + 1, "b": NOW - 59_000}, {"c": NOW - 59_000}, []),
        ({"a": NOW + 1, "b": LATE}, {}, [KEYS.workers]),
        ({"a": NOW + 1}, {"c": LATE}, [KEYS.reaping]),
        ({"a": NOW + 1, "b": LATE}, {"c": LATE, "d": LATE}, [KEYS.workers, KEYS.reaping, KEYS.reaping]),
        # Nobody lives: there was nobody to do it.
        ({"a": NOW, "b": LATE}, {"c": LATE}, []),
        ({}, {"c": LATE}, []),
    ],
)
def test_what_the_living_leave_undone(
    leases: dict[str, float], dead: dict[str, float], keys: list[str]
) -> None:
    """Six leases are time enough to fence whoever fell silent, and to take back what it held."""
    found = list(judge_progress(leases, dead, NOW, KEYS, RULES))
    assert [each.key for each in found] == keys
    assert {each.rule for each in found} <= {"I14"}
    assert all(each.repair is None for each in found)
    assert list(judge_progress(leases, dead, NOW + 0.5, KEYS, RULES)) == found


def test_it_is_read_by_the_servers_clock(redis_client: Any, keyspace: Keyspace) -> None:
    """Names are told in ASCII, and lists of another type are told elsewhere (F40)."""
    seconds, _ = redis_client.time()
    redis_client.zadd(keyspace.workers, {"a": (seconds + 3600) * 1000, "b\xff": (seconds - 3600) * 1000})
    redis_client.zadd(keyspace.reaping, {"c": (seconds - 3600) * 1000})
    silent, dead = look_with(redis_client, progress(keyspace, RULES))
    assert "'b\\xff'" in silent.problem
    assert "the jobs of 'c' taken back" in dead.problem
    redis_client.delete(keyspace.reaping)
    redis_client.set(keyspace.reaping, "x")
    assert look_with(redis_client, progress(keyspace, RULES)) == (silent,)


def test_without_the_clock_nothing_is_found() -> None:
    """A server that will not tell its time leaves nothing to go by."""
    reading = progress(KEYS, RULES)
    next(reading)
    with pytest.raises(StopIteration) as ended:
        reading.send([[b"a", b"1"], [], PermissionError("NOPERM")])
    assert ended.value.value == ()
