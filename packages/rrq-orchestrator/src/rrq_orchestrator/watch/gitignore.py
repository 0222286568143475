"""The ``.gitignore`` files around a watched folder, and ``.git/info/exclude``, read again when changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rrq_orchestrator.watch.selection import ignored_by_git, tolerant_spec

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["GitIgnores"]

_LARGEST: Final = 1024 * 1024
"""Bytes of such a file that are read."""


class GitIgnores:
    """Asked for files below ``folder``, an absolute path without links. Without a repository around it, the
    ``.gitignore`` files from ``folder`` on count."""

    def __init__(self, folder: Path) -> None:
        self._top = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
        self._exclude = _git_folder(self._top / ".git") / "info" / "exclude"
        self._read: dict[Path, tuple[tuple[int, int], GitIgnoreSpec]] = {}

    def ignores(self, path: Path) -> bool:
        """Return whether git would ignore this file."""
        parts = path.relative_to(self._top).parts
        rules: list[list[GitIgnoreSpec]] = []
        folder = self._top
        for part in parts:
            rules.append(self._rules(folder / ".gitignore"))
            folder /= part
        if rules:
            rules[0] += self._rules(self._exclude)
        return ignored_by_git(parts, rules)

    def _rules(self, file: Path) -> list["GitIgnoreSpec"]:
        try:
            facts = file.stat()
            version = (facts.st_mtime_ns, facts.st_size)
            known = self._read.get(file)
            if known is None or known[0] != version:
                with file.open(encoding="utf-8", errors="replace") as stream:
                    known = (version, tolerant_spec(_lines(stream.read(_LARGEST))))
                self._read[file] = known
        except OSError:  # there is none, or it is not for us to read
            self._read.pop(file, None)
            return []
        return [known[1]]


def _lines(text: str) -> Sequence[str]:
    return text.split("\n")


def _git_folder(git: Path) -> Path:
    """Return where ``info/exclude`` is: in a linked worktree, ``.git`` is a file that says so."""
    try:
        text = git.read_text(encoding="utf-8", errors="replace")
        own = git.parent / text.partition("gitdir:")[2].strip()
        return own / (own / "commondir").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return git
