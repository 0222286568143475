"""Which changed file counts: patterns in the syntax of ``.gitignore``, and git's own rules. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rrq_protocol import SettingsError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# What is escaped, and a set that is closed; its first character may be a bracket.
_of_no_meaning = re.compile(r"\\.|\[[!^]?+\]?+(?:\\.|[^\]\\])*\]", re.DOTALL)

__all__ = ["Selection", "ignored_by_git", "tolerant_spec"]


class Selection:
    """The patterns of ``[rrq.watch]``.

    They read as lines of a ``.gitignore`` at the watched folder: without a slash at any depth, with one from
    that folder on, ``!`` takes back what an earlier pattern said.

    Raises:
        SettingsError: A pattern cannot be read.
    """

    def __init__(self, include: Iterable[str], ignore: Iterable[str]) -> None:
        self._include = _strict_spec("rrq.watch.include_patterns", include)
        self._ignore = _strict_spec("rrq.watch.ignore_patterns", ignore)

    def wants(self, parts: Sequence[str]) -> bool:
        """Return whether a file counts; ``parts`` is its path from the watched folder."""
        if not self._include.check_file("/".join(parts)).include:
            return False
        return not ignored_by_git(parts, [[self._ignore]])


def ignored_by_git(parts: Sequence[str], rules: Sequence[Sequence["GitIgnoreSpec"]]) -> bool:
    """Return whether git would ignore a file.

    Args:
        parts: Its path from the top of the repository.
        rules: What each folder on the way says, that of the top first; in each the strongest first. A deeper
            folder beats the ones above; below a folder that is ignored nothing can be taken back.
    """
    return any(_says_ignore(parts[:end], end < len(parts), rules[:end]) for end in range(1, len(parts) + 1))


def _says_ignore(parts: Sequence[str], folder: bool, rules: Sequence[Sequence["GitIgnoreSpec"]]) -> bool:
    for depth in reversed(range(len(rules))):
        path = "/".join(parts[depth:]) + ("/" if folder else "")
        for spec in rules[depth]:
            found = spec.check_file(path).include
            if found is not None:
                return found
    return False


def tolerant_spec(lines: Sequence[str]) -> "GitIgnoreSpec":
    """Return the rules of a ``.gitignore``; lines that cannot be read are passed over, as git does."""
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines([line for line in lines if _is_readable(line)])


def _is_readable(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _has_open_set(pattern: str) -> bool:
    """Whether a ``[`` of a pattern has no ``]``: that matches nothing."""
    return "[" in _of_no_meaning.sub("", pattern)


def _strict_spec(key: str, patterns: Iterable[str]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec

    given = list(patterns)
    if wrong := [pattern for pattern in given if not _is_readable(pattern) or _has_open_set(pattern)]:
        raise SettingsError([f"{key}: expected a pattern as in .gitignore, got {each!r}" for each in wrong])
    return GitIgnoreSpec.from_lines(given)
