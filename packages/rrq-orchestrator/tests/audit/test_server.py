"""What the server says about itself is judged: fit, doubtful, unfit, or not told."""

from typing import Any

import pytest

from rrq_orchestrator.audit.findings import Level
from rrq_orchestrator.audit.server import ServerFacts, judge_server, product_of

GOOD = {
    "redis_version": "7.2.4", "valkey_version": "9.1.2", "server_name": "valkey", "redis_mode": "standalone",
    "role": "master", "connected_slaves": "1", "aof_enabled": "1", "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok", "maxmemory": "0", "maxmemory_policy": "noeviction", "evicted_keys": "0",
}  # fmt: skip


def levels(facts: ServerFacts) -> dict[str, Level]:
    """Return the worst level of each subject."""
    order = list(Level)
    found: dict[str, Level] = {}
    for check in judge_server(facts):
        best = found.get(check.subject, Level.OK)
        found[check.subject] = min(best, check.level, key=order.index)
    return found


def test_a_good_server_is_fit() -> None:
    """Every check is there, and fine."""
    found = levels(ServerFacts(info=GOOD, save="", clock_ahead_s=0.1))
    assert found == dict.fromkeys(("version", "role", "persistence", "memory", "clock", "scripts"), Level.OK)


@pytest.mark.parametrize(
    ("changes", "more", "subject", "level", "word"),
    [
        ({"valkey_version": "8.1.3"}, {}, "version", Level.WARNING, "may be patched by the distributor"),
        ({"role": "slave", "master_host": "h"}, {}, "role", Level.ERROR, "replica"),
        ({"redis_mode": "cluster"}, {}, "cluster", Level.ERROR, "key_prefix {rrq}"),
        ({"aof_enabled": "0"}, {"save": ""}, "persistence", Level.WARNING, "loses all jobs"),
        ({"aof_enabled": "0"}, {"save": "60 1"}, "persistence", Level.WARNING, "snapshots only (save 60 1)"),
        ({"aof_enabled": "0"}, {"save": None}, "persistence", Level.WARNING, "no append-only file"),
        ({"aof_last_write_status": "err"}, {}, "persistence", Level.ERROR, "aof_last_write_status is err"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "5"}, {}, "memory", Level.ERROR, "noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, {}, "memory", Level.WARNING, "no maxmemory now"),
        ({"maxmemory": "100", "used_memory": "90"}, {}, "memory", Level.WARNING, "nearly full, 90 %"),
        ({"maxmemory": "100", "used_memory": "101"}, {}, "memory", Level.ERROR, "new jobs are refused"),
        ({"evicted_keys": "7"}, {}, "memory", Level.WARNING, "7 keys were evicted"),
        ({}, {"clock_ahead_s": -30.0}, "clock", Level.WARNING, "30.0 s behind"),
        ({}, {"clock_ahead_s": None}, "clock", Level.INFO, "not permitted"),
        ({}, {"scripts": "NOPERM no"}, "scripts", Level.ERROR, "NOPERM no"),
    ],
)  # fmt: skip
def test_what_is_not(
    changes: dict[str, str], more: dict[str, Any], subject: str, level: Level, word: str
) -> None:
    """Each doubt has its level, and the text says what to do or what it means."""
    facts = ServerFacts(**{"info": {**GOOD, **changes}, "save": "", "clock_ahead_s": 0.0, **more})
    assert levels(facts)[subject] is level
    assert any(word in check.text for check in judge_server(facts) if check.subject == subject)


def test_a_hash_tag_makes_a_cluster_fit() -> None:
    """All keys then share a slot."""
    facts = ServerFacts(info={**GOOD, "redis_mode": "cluster"}, clock_ahead_s=0.0, key_prefix="{rrq}")
    assert "cluster" not in levels(facts)


def test_what_may_not_be_asked_is_said() -> None:
    """Missing rights are no fault of the server."""
    assert set(levels(ServerFacts(clock_ahead_s=0.0)).values()) == {Level.INFO, Level.OK}
    found = levels(ServerFacts(info={"redis_version": "8.2.2"}, clock_ahead_s=0.0))
    assert (found["persistence"], found["memory"]) == (Level.INFO, Level.INFO)


def test_products() -> None:
    """By what the server calls itself."""
    assert product_of(GOOD) == ("Valkey", "9.1.2")
    assert product_of({"redis_version": "8.0.0"}) == ("Redis", "8.0.0")
    assert product_of({"redis_version": "7.4.0", "server_name": "dragonfly"}) == ("Dragonfly", "7.4.0")
