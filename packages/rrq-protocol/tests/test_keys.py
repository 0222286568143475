"""Key names: the public line's spelling, under any prefix."""

import pytest

from rrq_protocol import InvalidName, Keyspace

SPELLED = {
    "rrq:job:j": Keyspace().job("j"),
    "rrq:queue:q": Keyspace().queue("q"),
    "rrq:active:jobs:w": Keyspace().active("w"),
    "rrq:health:worker:w": Keyspace().health("w"),
    "rrq:dlq:d": Keyspace().dlq("d"),
    "rrq:idempotency:k": Keyspace().idempotency("k"),
    "rrq:rate_limit:k": Keyspace().rate_limit("k"),
    "rrq:debounce:k": Keyspace().debounce("k"),
    "rrq:lock:unique:k": Keyspace().lock_unique("k"),
    "rrq:lock:job:j": Keyspace().lock_job("j"),
    "rrq:events:job:j": Keyspace().events("j"),
    "rrq:workers": Keyspace().workers,
    "rrq:reaping": Keyspace().reaping,
    "rrq:ctl:w": Keyspace().control("w"),
    "rrq:wake:q": Keyspace().wake("q"),
    "rrq:queues": Keyspace().queues,
    "rrq:dlqs": Keyspace().dlqs,
    "rrq:paused": Keyspace().paused,
    "rrq:quarantine": Keyspace().quarantine,
    "rrq:stats:q": Keyspace().stats("q"),
    "rrq:stats:q:29454480": Keyspace().stats_minute("q", 29_454_480),
    "rrq:cron:c": Keyspace().cron("c"),
    "rrq:done:j": Keyspace().channel("j"),
}


@pytest.mark.parametrize("key", SPELLED)
def test_keys_are_spelled_as_the_schema_says(key: str) -> None:
    """Each key has the name that REDIS_SCHEMA.md gives, which other implementations use too."""
    assert SPELLED[key] == key


def test_all_keys_start_with_the_prefix() -> None:
    """A hash tag as prefix puts all keys into one slot of a cluster (6.10)."""
    keys = Keyspace("{tenant-a}")
    assert keys.job("j") == "{tenant-a}:job:j"
    assert keys.workers == "{tenant-a}:workers"
    assert Keyspace() == Keyspace("rrq")


@pytest.mark.parametrize("prefix", ["", " ", "a b", "a\nb", "a\x00", "é\x7f", "\ud800", "x" * 65])
def test_a_bad_prefix_is_refused(prefix: str) -> None:
    """A prefix that would make unreadable or ambiguous keys is an error that says what is expected."""
    with pytest.raises(InvalidName, match="expected 1 to 64 printable characters"):
        Keyspace(prefix)


@pytest.mark.parametrize("prefix", ["rrq", "{t}", "a:b", "é", "x" * 64])
def test_names_come_back_from_keys(prefix: str) -> None:
    """The queue or DLQ name in a full key is found again; a bare name, as some writers store it, stays."""
    keys = Keyspace(prefix)
    for name in ("default", "a.b-c_d"):
        assert keys.queue_name(keys.queue(name)) == keys.queue_name(name) == name
        assert keys.dlq_name(keys.dlq(name)) == keys.dlq_name(name) == name
    assert keys.queue_name("other:queue:q") == "other:queue:q"
