"""Whether a file says something else."""

import os
from pathlib import Path

import pytest

from rrq_orchestrator.watch import contents
from rrq_orchestrator.watch.contents import Contents


def test_only_other_content_is_a_change(tmp_path: Path) -> None:
    """The first look counts, as nothing is known; then writing the same does not, and going does."""
    file, seen = tmp_path / "a.py", Contents(tmp_path)
    file.write_text("x")
    assert seen.differing(["a.py", "none.py"]) == ["a.py", "none.py"]
    file.write_text("x")
    assert seen.differing(["a.py", "none.py"]) == []
    file.write_text("y")
    assert seen.differing(["a.py"]) == ["a.py"]
    file.unlink()
    assert seen.differing(["a.py"]) == ["a.py"]
    assert seen.differing(["a.py"]) == []


def test_a_large_file_is_known_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read."""
    monkeypatch.setattr(contents, "_LARGEST", 3)
    file, seen = tmp_path / "a.py", Contents(tmp_path)
    file.write_text("large")
    seen.differing(["a.py"])
    assert seen.differing(["a.py"]) == []
    os.utime(file, (1, 1))
    assert seen.differing(["a.py"]) == ["a.py"]
