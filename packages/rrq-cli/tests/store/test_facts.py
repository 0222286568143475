"""What a job waits for is read from Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_cli.params import GlobalOptions
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.facts import gather, running_on
from rrq_cli.store.records import read_hash
from rrq_protocol import parse_record, transitions
from rrq_protocol.transitions import Charge, SettleKind
from support.cli import WORKER, World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def test_a_waiting_job(world: World, store: Store) -> None:
    """Where it stands in its queue, whether that is paused, who holds a lock, who lives."""
    world.register()
    world.enqueue(queue_name="media")
    job_id = world.enqueue("rust#f", queue_name="media")
    world.run(transitions.pause(world.keys, "media"))
    world.redis.set(world.keys.lock_job(job_id), "w9")
    known = gather(store, job_id)
    assert (known.before, known.paused, known.lock_holder, known.runner) == (1, True, "w9", "rust")
    assert known.due_ms is not None
    assert known.due_ms <= known.now_ms
    assert [each.id for each in known.orchestrators] == [WORKER]


def test_a_job_without_surroundings(world: World, store: Store) -> None:
    """Not in its queue, unlocked, routed by the settings."""
    job_id = world.enqueue()
    world.redis.delete(world.keys.queue("default"))
    known = gather(store, job_id)
    assert (known.due_ms, known.before, known.paused, known.lock_holder) == (None, 0, False, None)
    assert known.runner == "python"
    assert not known.unknown_handler


def test_queues_that_come_first_are_counted(world: World, tmp_path: Path) -> None:
    """Under worker.strict those of more weight with jobs that are due, the heaviest first; else none."""
    settings = tmp_path / "rrq.toml"
    queues = "worker.queues = { low = 1, mid = 3, top = 9, same = 1, empty = 4 }"
    for queue in ("mid", "top", "top", "same"):
        world.enqueue(queue_name=queue)
    job_id = world.enqueue(queue_name="low")
    world.enqueue(queue_name="mid", defer_by=600)
    for strict, expected in (("true", [("top", 2), ("mid", 1)]), ("false", [])):
        settings.write_text(f"[rrq]\n{queues}\nworker.strict = {strict}\n")
        options = GlobalOptions(config=str(settings), redis_dsn=world.url, prefix=world.keys.prefix)
        with open_store(options) as store:
            assert gather(store, job_id).outranked == expected


def test_the_last_attempt_tells_of_an_unknown_handler(world: World, store: Store) -> None:
    """A job that is retried because nobody knew its function says so."""
    world.enqueue()
    (taken,) = world.claim()
    world.settle(
        taken, SettleKind.RETRY, "no handler", charge=Charge.RETRY, delay_ms=60_000,
        attempts_log=world.log(taken, "retry", "no handler", type="handler_not_found"),
    )  # fmt: skip
    assert gather(store, taken.id).unknown_handler


def test_the_runner_of_a_running_job(world: World, store: Store) -> None:
    """The one its name or its queue leads to, if its orchestrator has it or does not tell."""

    def runner(job_id: str) -> str | None:
        return running_on(store, parse_record(read_hash(store, job_id)[0]))

    plain, named = world.enqueue(), world.enqueue("rust#f")
    assert runner(plain) is None
    world.claim(most=2)
    assert (runner(plain), runner(named)) == ("python", "rust")
    world.register(runners={"python": {"state": "ready"}})
    assert (runner(plain), runner(named)) == ("python", None)
