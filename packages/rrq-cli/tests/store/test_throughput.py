"""Throughput from the minute counters."""

from typing import Any

import pytest

from rrq_cli.store.client import Store
from rrq_cli.store.throughput import DAY, HOUR, Throughput, count_of, per_hour, per_second
from rrq_protocol import Settings
from support.cli import World

MINUTE_MS = 60_000.0


def test_rates() -> None:
    """Half a minute into a minute, half of the one before still counts for the last minute."""
    minutes = [0] * (DAY - 61) + [60] * 61
    now_ms = 30_000.0
    minute, hour, day = per_second(minutes, now_ms)
    assert minute == pytest.approx(90 / 60)
    assert hour == pytest.approx(3600 / (59.5 * 60))
    assert day == pytest.approx(61 * 60 / (1439.5 * 60))
    assert per_hour(minutes) == [0] * 22 + [60, 3600]


@pytest.mark.parametrize(
    ("raw", "count"), [(b"7", 7), (None, 0), (b"x", 0), (b"-1", 0), (b"9" * 19, 0), (ValueError(), 0)]
)
def test_any_counter_is_borne(raw: object, count: int) -> None:
    """What is no count is 0."""
    assert count_of(raw) == count


def test_what_is_over_is_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look asks for the running minute, the one before, and those that are new."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    world.redis.hset(world.keys.stats_minute("q", 2000), "completed", "5")
    world.redis.hset(world.keys.stats_minute("q", 1990), "completed", "2")
    flow, asked = Throughput(), []
    ask = store.ask

    def counting(*commands: Any) -> list[Any]:
        asked.append(len(commands))
        return ask(*commands)

    monkeypatch.setattr(store, "ask", counting)
    counts = flow.of(store, ["q"], 2000 * MINUTE_MS)["q"]
    assert (len(counts), counts[-1], counts[-11], sum(counts)) == (DAY, 5, 2, 7)
    world.redis.hset(world.keys.stats_minute("q", 2000), "completed", "6")
    asked.clear()
    later = flow.of(store, ["q"], 2002 * MINUTE_MS)["q"]
    assert (later[-3], later[-13], sum(later)) == (6, 2, 8)
    assert sum(asked) == 4
    assert flow.of(store, ["other"], 2000 * MINUTE_MS)["other"][-1] == 0


def test_minutes_without_a_job_are_not_read_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred queues of one job each take fewer than 10,000 commands, not 1440 each."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    names = [f"q{number}" for number in range(200)]
    for at, name in enumerate(names):
        world.redis.hset(world.keys.stats_minute(name, 5000 - 7 * at), "completed", at + 1)
    asked = 0
    ask = store.ask

    def counting(*commands: Any) -> list[Any]:
        nonlocal asked
        asked += len(commands)
        return ask(*commands)

    monkeypatch.setattr(store, "ask", counting)
    found = Throughput().of(store, names, 5000 * MINUTE_MS)
    assert [found[name][-1 - 7 * at] for at, name in enumerate(names)] == [*range(1, 201)]
    assert [sum(found[name]) for name in names] == [*range(1, 201)]
    assert asked < 10_000
    asked = 0
    assert sum(sum(each) for each in Throughput(HOUR).of(store, names, 5000 * MINUTE_MS).values()) == 45
    assert asked < 600


def test_busy_minutes_are_all_read(world: World) -> None:
    """Where every minute has a counter, none is left out; one of the wrong type counts as 0."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    for minute in range(5000 - DAY + 1, 5001):
        world.redis.hset(world.keys.stats_minute("q", minute), "completed", minute)
    world.redis.delete(world.keys.stats_minute("q", 4000))
    world.redis.set(world.keys.stats_minute("q", 4000), "x")
    counts = Throughput().of(store, ["q"], 5000 * MINUTE_MS)["q"]
    assert counts == [0 if each == 4000 else each for each in range(5000 - DAY + 1, 5001)]
