"""Dead letters are listed and grouped."""

import pytest

from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_pages, dlq_names, fingerprint, group_dead, list_dead, wrong_dlqs
from rrq_cli.store.jobs import JobFilter
from rrq_protocol import Settings
from support.cli import World

ANY = JobFilter().accepts


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix, default_dlq_name="main"), "test")


def test_names_and_broken_keys(world: World, store: Store) -> None:
    """The settings' queue comes first, then those ever used; a key that is no list is named."""
    world.dead(dlq_name="other")
    world.redis.sadd(world.keys.dlqs, "bad name")
    world.redis.set(world.keys.dlq("broken"), "text")
    assert dlq_names(store) == ["main", "other"]
    (problem,) = wrong_dlqs(store, ["main", "other", "broken"])
    assert problem.endswith("the key has the wrong type; expected a list")
    assert list_dead(store, ["broken"], ANY, limit=5, offset=0, batch_size=2).jobs == []


def test_listing_filters_and_pages(world: World, store: Store) -> None:
    """Newest first; offset and limit count what the filters let through, in any batch size."""
    ids = [world.dead(function="f" if number % 2 else "g") for number in range(6)]
    for batch_size in (1, 2, 100):
        found = list_dead(
            store, ["default"], JobFilter(function="f").accepts, limit=1, offset=1, batch_size=batch_size
        )
        assert [job.id for job in found.jobs] == [ids[3]]
        assert (found.total, found.complete) == (6, False)
    assert list_dead(store, ["default"], ANY, limit=9, offset=0, batch_size=4).complete


def test_an_entry_that_is_no_dead_letter_is_told(world: World, store: Store) -> None:
    """An id in the list whose job is in another state, or gone, is shown as a problem."""
    world.redis.lpush(world.keys.dlq("default"), world.enqueue(), "gone")
    problems = [
        job.problem for job in list_dead(store, ["default"], ANY, limit=9, offset=0, batch_size=9).jobs
    ]
    assert problems == [
        "there is no record of this job any more",
        "listed as a dead letter, but its status is PENDING",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("KeyError: 'a'", "KeyError: 'b'\nmore"),
        ("timeout after 12.5 s", "timeout after 3 s"),
        ("job 0190f3c2-1c5e-7a31-9a52-6d0ef4a1b001", "job 0190f3c2-1c5e-7a31-9a52-6d0ef4a1b002"),
        ("SyntaxError: invalid (a.py, line 3)", "SyntaxError: invalid (b_c.py, line 44)"),
        ("", None),
    ],
)
def test_like_errors_have_one_fingerprint(first: str, second: str | None) -> None:
    """Numbers, ids, quoted parts and file names do not tell errors apart."""
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) != fingerprint("Another: thing")


def test_groups_are_by_queue_function_and_error(world: World, store: Store) -> None:
    """Like failures are one group, the most frequent first, with their newest job."""
    world.dead("KeyError: 'a'")
    newest = world.dead("KeyError: 'b'")
    world.dead("KeyError: 'a'", function="other")
    stats = group_dead(store, ["default"], most=0, batch_size=2)
    assert [(group.count, group.function_name) for group in stats.groups] == [(2, "work"), (1, "other")]
    assert stats.groups[0].newest_id == newest
    assert (stats.total, stats.looked_at, stats.complete) == (3, 3, True)
    assert not group_dead(store, ["default"], most=1, batch_size=2).complete


def test_pages_hold_what_was_there_at_first(world: World, store: Store) -> None:
    """Newest first, each page with the number of entries behind it; what comes in meanwhile is in none."""
    key = world.keys.dlq("default")
    world.redis.rpush(key, *"edcba")
    found = []
    for behind, page in dead_pages(store, "default", 2):
        found.append((behind, page))
        world.redis.lpush(key, "new")
    assert found == [(3, ["e", "d"]), (1, ["c", "b"]), (0, ["a"])]
    assert list(dead_pages(store, "none", 2)) == []
