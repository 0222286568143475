"""Which changed file counts."""

import pytest

from rrq_orchestrator.watch.selection import Selection, ignored_by_git, tolerant_spec
from rrq_protocol import SettingsError
from rrq_protocol.settings import WatchConfig


def _wants(path: str, include: tuple[str, ...] = ("*.py",), ignore: tuple[str, ...] = ()) -> bool:
    return Selection(include, ignore).wants(path.split("/"))


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("app.py", True),
        ("rrq.toml", True),
        ("src/shop/tasks.py", True),
        ("README.md", False),
        ("app.pyc", False),
        (".venv/lib/site.py", False),
        ("build/app.py", False),
        ("src/__pycache__/app.py", False),
        ("src/pkg/.ruff_cache/x.py", False),
        ("builder/app.py", True),
    ],
)
def test_defaults_are_sources_and_settings(path: str, counts: bool) -> None:
    """Python and TOML files count, unless they lie in an environment, a build or a cache."""
    config = WatchConfig()
    assert _wants(path, config.include_patterns, config.ignore_patterns) is counts


def test_patterns_read_as_in_gitignore() -> None:
    """A slash binds to the folder, ``!`` takes back; below an ignored folder nothing can be."""
    assert _wants("src/a.py", ("/src/*.py",))
    assert not _wants("lib/src/a.py", ("/src/*.py",))
    assert not _wants("a.py", ignore=("a.py",))
    assert _wants("a.py", ignore=("*.py", "!a.py"))
    assert not _wants("gen/a.py", ignore=("gen/", "!gen/a.py"))


def test_a_pattern_that_cannot_be_read_is_refused() -> None:
    """With its key, as it is a mistake in the settings."""
    with pytest.raises(SettingsError, match=r"rrq\.watch\.ignore_patterns.*'!'"):
        Selection(["*.py"], ["!"])


@pytest.mark.parametrize("pattern", ["[", "*.[ch", "[]", "a[!]", "[a]["])
def test_a_set_that_is_not_closed_is_refused(pattern: str) -> None:
    """It would match nothing, ever."""
    with pytest.raises(SettingsError, match=r"rrq\.watch\.include_patterns: expected a pattern"):
        Selection([pattern], [])


@pytest.mark.parametrize(
    ("pattern", "path"), [("*.[ch]", "a.c"), (r"\[x", "[x"), ("[]x].py", "].py"), ("[!a].py", "b.py")]
)
def test_sets_that_are_closed_match(pattern: str, path: str) -> None:
    """Also one with a bracket in it; an escaped bracket is one."""
    assert _wants(path, (pattern,))


def test_a_bad_line_of_a_gitignore_is_passed_over() -> None:
    """The other lines hold, as for git."""
    assert ignored_by_git(["a.py"], [[tolerant_spec(["!", "a.py"])]])


def test_a_deeper_gitignore_beats_the_ones_above() -> None:
    """In both directions, and .git/info/exclude is the weakest."""
    top, exclude, deep = (
        tolerant_spec(["*.gen.py"]),
        tolerant_spec(["x.py", "y.gen.py"]),
        tolerant_spec(["!*.gen.py"]),
    )
    assert ignored_by_git(["a.gen.py"], [[top, exclude]])
    assert ignored_by_git(["x.py"], [[top, exclude]])
    assert not ignored_by_git(["sub", "a.gen.py"], [[top, exclude], [deep]])
    assert not ignored_by_git(["sub", "y.gen.py"], [[top, exclude], [deep]])
    assert ignored_by_git(["sub", "x.py"], [[top, exclude], [deep]])
