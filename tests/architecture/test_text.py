"""Tracked text names no registry and no machine; every dependency has its reason."""

import pytest

from support.rules import PACKAGES, ROOT, WHEELS, wheel_name
from support.rules.text import dependency_names, forbidden_words, tracked_files, undocumented


def test_no_registry_and_no_machine_is_named() -> None:
    """The repository reads the same wherever it is cloned."""
    files = tracked_files(ROOT)
    assert files
    assert [
        line for path in files for line in forbidden_words(str(path.relative_to(ROOT)), path.read_bytes())
    ] == []


@pytest.mark.parametrize("word", ["https://py" + "pi.org/simple", "/ro" + "ot/.cache", "cd /wo" + "rk/main"])
def test_a_forbidden_word_is_found(word: str) -> None:
    """A host or path is found with its line; binary files are not text."""
    assert forbidden_words("a.md", f"fine\nsee {word}\n".encode())[0].startswith("a.md:2: ")
    assert forbidden_words("a.bin", f"\0{word}".encode()) == []


@pytest.mark.parametrize("package", WHEELS)
def test_every_dependency_has_its_reason(package: str) -> None:
    """Whatever a wheel requires is in the table of dependencies."""
    names = dependency_names((PACKAGES / wheel_name(package) / "pyproject.toml").read_text())
    assert undocumented(names, (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text()) == []


def test_a_dependency_without_reason_is_found() -> None:
    """Dependencies and extras without a row are findings; the project's own wheels need none."""
    text = (
        '[project]\ndependencies = ["msgspec>=1", "rrq-protocol", "left-pad[x]; sys_platform == \'win32\'"]\n'
        '[project.optional-dependencies]\nmore = ["Surplus~=2.0"]\n'
    )
    names = dependency_names(text)
    assert names == ["left-pad", "msgspec", "surplus"]
    assert [line.partition(":")[0] for line in undocumented(names, "| `msgspec` | fast |")] == [
        "left-pad",
        "surplus",
    ]
