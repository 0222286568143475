"""Facts gathered from a real orchestrator's parts and a real Redis."""

import asyncio

import pytest
import redis.asyncio

from rrq_orchestrator import Orchestrator
from rrq_orchestrator.http import View
from rrq_orchestrator.http.facts import DeadLetterFacts
from rrq_protocol import Keyspace
from rrq_protocol.settings import parse_settings
from support.orchestrating import LOG, StandInRunner

pytestmark = pytest.mark.anyio


def _view(orchestrator: Orchestrator) -> View:
    # The endpoint's own; it asks Redis without an orchestrator that runs.
    view: View = orchestrator.endpoint._view
    return view


def _orchestrator(url: str, keyspace: Keyspace, **settings: object) -> Orchestrator:
    return Orchestrator(
        parse_settings({"key_prefix": keyspace.prefix, **settings}),
        url=url,
        runners=lambda listener: {"python": StandInRunner(listener)},
        log=LOG,
    )


async def test_sizes_of_queues_come_from_redis(
    redis_url: str, keyspace: Keyspace, aredis: redis.asyncio.Redis
) -> None:
    """What is due, what is later, since when, and the dead letters; a key of another kind is passed over."""
    orchestrator = _orchestrator(redis_url, keyspace, worker={"queues": ["a", "b", "odd"]})
    seconds, _ = await aredis.time()
    now_ms = seconds * 1000
    await aredis.zadd(keyspace.queue("a"), {"j1": now_ms - 60_000, "j2": now_ms - 10, "j3": now_ms + 600_000})
    await aredis.sadd(keyspace.paused, "b")
    await aredis.set(keyspace.queue("odd"), "text")
    await aredis.lpush(keyspace.dlq("default"), "x", "y")
    view = _view(orchestrator)
    assert await view.sizes() is None  # Redis was not reached yet
    orchestrator._links.reached = True
    sizes = await view.sizes()
    assert sizes is not None
    (a, b), dead = sizes
    assert (a.name, a.ready, a.scheduled, a.paused) == ("a", 2, 1, False)
    assert 60 <= a.oldest_s < 600
    assert (b.ready, b.scheduled, b.oldest_s, b.paused) == (0, 0, 0.0, True)
    assert dead == (DeadLetterFacts("default", 2),)
    await orchestrator._links.aclose()


async def test_many_who_ask_make_one_question(
    redis_url: str, keyspace: Keyspace, aredis: redis.asyncio.Redis
) -> None:
    """Sizes are fresh for a second; scrapers do not load Redis."""
    orchestrator = _orchestrator(redis_url, keyspace)
    orchestrator._links.reached = True
    view = _view(orchestrator)
    found = await asyncio.gather(*(view.sizes() for _ in range(20)))
    assert all(each is found[0] for each in found)
    await orchestrator._links.aclose()


async def test_facts_are_those_of_the_parts(redis_url: str, keyspace: Keyspace) -> None:
    """Before it runs: not registered, nothing under way; after a stop was asked for: stopping."""
    orchestrator = _orchestrator(redis_url, keyspace)
    facts = _view(orchestrator).facts()
    assert (facts.registered, facts.stopping, facts.active, facts.queues) == (False, False, 0, None)
    assert [(each.name, each.state, each.capacity) for each in facts.runners] == [("python", "ready", 10)]
    orchestrator.request_stop()
    assert _view(orchestrator).facts().stopping
    await orchestrator._links.aclose()
