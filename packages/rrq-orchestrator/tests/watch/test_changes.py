"""Real files, changed in the ways of editors and tools."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from rrq_orchestrator.watch import Changes
from rrq_orchestrator.watch import changes as changes_module
from rrq_protocol.settings import WatchConfig

pytestmark = pytest.mark.anyio
WITHIN_S = 30.0


def _write(folder: Path) -> None:
    (folder / "a.py").write_text("x = 2")


def _rename_over(folder: Path) -> None:
    (folder / ".a.py.tmp").write_text("x = 2")
    (folder / ".a.py.tmp").rename(folder / "a.py")


def _delete(folder: Path) -> None:
    (folder / "a.py").unlink()


def _write_in_a_new_folder(folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "a.py").write_text("x = 2")


@pytest.mark.parametrize("change", [_write, _rename_over, _delete, _write_in_a_new_folder])
async def test_a_change_is_told(change: Callable[[Path], None], tmp_path: Path) -> None:
    """However it came about; files that do not count come along silently."""
    folder = tmp_path.resolve()
    (folder / "a.py").write_text("x = 1")
    async with Changes(folder, WatchConfig()) as changes, asyncio.timeout(WITHIN_S):
        (folder / "notes.txt").write_text("x")
        (folder / "a.py").read_text()
        change(folder)
        assert [Path(path).name for path in await changes.next()] == ["a.py"]


async def test_what_does_not_count_is_not_told(tmp_path: Path) -> None:
    """Reading, ignored folders and git's ignored files; the first to be told is the one that counts."""
    folder = tmp_path.resolve()
    (folder / ".gitignore").write_text("gen.py")
    (folder / "a.py").write_text("x = 1")
    (folder / "build").mkdir()
    async with Changes(folder, WatchConfig()) as changes, asyncio.timeout(WITHIN_S):
        (folder / "a.py").read_text()
        (folder / "gen.py").write_text("x")
        (folder / "build" / "b.py").write_text("x")
        (folder / "last.py").write_text("x")
        assert await changes.next() == ["last.py"]
    async with Changes(folder, WatchConfig(no_gitignore=True)) as changes, asyncio.timeout(WITHIN_S):
        (folder / "gen.py").write_text("y")
        assert await changes.next() == ["gen.py"]


async def test_writing_the_same_is_no_change(tmp_path: Path) -> None:
    """As a code generator does before each start; the other file is told alone."""
    folder = tmp_path.resolve()
    async with Changes(folder, WatchConfig()) as changes, asyncio.timeout(WITHIN_S):
        (folder / "gen.py").write_text("x")
        assert await changes.next() == ["gen.py"]
        (folder / "gen.py").write_text("x")
        (folder / "a.py").write_text("x")
        assert await changes.next() == ["a.py"]


async def test_it_is_asked_when_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first change and of the latest one, until that time has come."""
    asked: list[tuple[float, float]] = []

    def due(first_s: float, latest_s: float) -> float:
        asked.append((first_s, latest_s))
        return latest_s + 0.05

    monkeypatch.setattr(changes_module, "due_s", due)
    folder = tmp_path.resolve()
    async with Changes(folder, WatchConfig()) as changes, asyncio.timeout(WITHIN_S):
        begun_s = asyncio.get_running_loop().time()
        (folder / "a.py").write_text("x")
        await changes.next()
        first_s, latest_s = asked[-1]
        assert begun_s <= first_s <= latest_s <= asyncio.get_running_loop().time() - 0.05


async def test_changes_in_quick_succession_are_one(tmp_path: Path) -> None:
    """A branch that is checked out restarts once, and the next change is a new one."""
    folder = tmp_path.resolve()
    async with Changes(folder, WatchConfig()) as changes, asyncio.timeout(WITHIN_S):
        names = [f"f{number}.py" for number in range(50)]
        for name in names:
            (folder / name).write_text("x")
        seen: set[str] = set()
        rounds = 0
        while seen != set(names):
            seen |= set(await changes.next())
            rounds += 1
        assert rounds < len(names) / 2
        (folder / "f0.py").write_text("y")
        assert await changes.next() == ["f0.py"]
