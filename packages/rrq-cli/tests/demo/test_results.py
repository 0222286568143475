"""The result is read from the records and checked."""

from pathlib import Path

import pytest

from rrq_cli.demo.results import read_result, relative
from rrq_cli.store.client import Store
from rrq_protocol import Settings
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix, default_dlq_name="demo"), "test")


def _analysed(world: World, path: str, lines: int, name: str = "f") -> str:
    longest = {"name": name, "lines": lines, "line": 3}
    counts = {"path": path, "lines": lines * 2, "functions": 2, "classes": 1, "deepest_nesting": lines}
    return world.completed(
        "analyse_source", {**counts, "longest_function": longest}, queue_name="demo", params={"path": path}
    )


def _dead(world: World, path: str) -> str:
    return world.dead("SyntaxError: no\nmore", dlq_name="demo", queue_name="demo", params={"path": path})


def test_counts_add_up(world: World, store: Store) -> None:
    """Totals, the largest functions and the dead letters are those of the records."""
    for number in range(12):
        _analysed(world, f"/a/{number}.py", number + 1)
    dead = _dead(world, "/a/bad.py")
    result = read_result(store, 13, 2.0, 4)
    assert (result.enqueued, result.completed, result.dead_lettered, result.retried) == (13, 12, 1, 0)
    assert (result.jobs_per_second, result.functions, result.classes, result.lines) == (6.5, 24, 12, 156)
    assert [each.lines for each in result.largest_functions] == list(range(12, 2, -1))
    assert (result.largest_functions[0].path, result.largest_functions[0].line) == ("/a/11.py", 3)
    assert (result.deepest_nesting, result.deepest_path) == (12, "/a/11.py")
    assert [(each.path, each.error, each.job_id, each.attempts) for each in result.dlq] == [
        ("/a/bad.py", "SyntaxError: no", dead, 1)
    ]
    assert (result.exactly_once, result.findings) == (True, [])


def test_files_without_functions_count(world: World, store: Store) -> None:
    """A file without a longest function, or with an odd result, breaks nothing."""
    world.completed(
        "analyse_source", {"longest_function": None, "lines": "x"}, queue_name="demo", params={"path": "/a"}
    )
    result = read_result(store, 1, 1.0, 1)
    assert (result.completed, result.largest_functions, result.exactly_once) == (1, [], True)


def test_every_disagreement_is_found(world: World, store: Store) -> None:
    """A lost file, a file done twice, an unfinished job and a changed dead letter queue are findings."""
    _analysed(world, "/a/1.py", 1)
    assert not read_result(store, 2, 1.0, 1).exactly_once
    _analysed(world, "/a/1.py", 1)
    assert "2 jobs stand for 1 different files" in read_result(store, 2, 1.0, 1).findings
    _dead(world, "/a/2.py")
    world.redis.delete(world.keys.dlq("demo"))
    assert any(
        "dead letter queue holds 0 ids" in finding for finding in read_result(store, 3, 1.0, 1).findings
    )
    world.enqueue("analyse_source", {"path": "/a/3.py"}, queue_name="demo")
    assert any("has not ended" in finding for finding in read_result(store, 4, 1.0, 1).findings)


def test_paths_are_shown_from_the_folder() -> None:
    """A path below the folder is shortened, any other is not."""
    assert relative("/a/b/c.py", Path("/a")) == "b/c.py"
    assert relative("/x/c.py", Path("/a")) == "/x/c.py"
