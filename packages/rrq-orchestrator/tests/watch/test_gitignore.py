"""The rules of real repositories, compared with git itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rrq_orchestrator.watch.gitignore import GitIgnores

FILES = (
    "a.py",
    "gen/a.py",
    "src/a.py",
    "src/gen/a.py",
    "src/keep/b.py",
    "local.py",
    "src/tmp_1.py",
    "src/x/tmp_2.py",
)
RULES = {
    ".gitignore": "/gen/\ntmp_*.py\nkeep/*\n",
    "src/.gitignore": "!tmp_1.py\n# a comment\n!keep/b.py\n",
    ".git/info/exclude": "local.py\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with rules at several places."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    _git("init", "-q", cwd=tmp_path)
    for name, text in (*RULES.items(), *((name, "") for name in FILES)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path.resolve()


def _git(*arguments: str, cwd: Path) -> str:
    run = subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    return run.stdout


def test_git_agrees(repository: Path) -> None:
    """On each file; the same holds for a watch of a folder inside."""
    expected = set(_git("check-ignore", *FILES, cwd=repository).split())
    assert "gen/a.py" in expected
    assert "a.py" not in expected
    ignores = GitIgnores(repository)
    assert {name for name in FILES if ignores.ignores(repository / name)} == expected
    inside = GitIgnores(repository / "src")
    assert {n for n in FILES if n.startswith("src/") and inside.ignores(repository / n)} == {
        name for name in expected if name.startswith("src/")
    }


def test_changed_rules_hold_at_once(repository: Path) -> None:
    """A line that is added, and a file that goes."""
    ignores = GitIgnores(repository)
    assert not ignores.ignores(repository / "a.py")
    (repository / ".gitignore").write_text("a.py\n")
    assert ignores.ignores(repository / "a.py")
    (repository / ".gitignore").unlink()
    assert not ignores.ignores(repository / "a.py")


def test_a_linked_worktree_has_the_excludes_of_its_repository(repository: Path, tmp_path: Path) -> None:
    """There, .git is a file that says where they are."""
    own = repository / ".git" / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "commondir").write_text("../..\n")
    tree = repository / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {own}\n")
    assert GitIgnores(tree).ignores(tree / "local.py")
    assert not GitIgnores(tree).ignores(tree / "a.py")


def test_without_a_repository_the_files_below_count(tmp_path: Path) -> None:
    """A .gitignore says what is generated, with or without git."""
    (tmp_path / ".gitignore").write_text("gen.py\n")
    assert GitIgnores(tmp_path).ignores(tmp_path / "gen.py")
    assert not GitIgnores(tmp_path).ignores(tmp_path / "a.py")
