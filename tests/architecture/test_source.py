"""Modules are short, mirrored by their tests, export what they say, and use only what other wheels export."""

import sys
from pathlib import Path

import pytest

from support.rules import PACKAGES, ROOT, UPPER, WHEELS, source_files, wheel_name
from support.rules.source import MAX_LINES, export_problems, foreign_names, length_problems, mirror_problems
from support.rules.text import tracked_files


def test_modules_are_short() -> None:
    """No Python file of the repository is longer than the limit."""
    files = [path for path in tracked_files(ROOT) if path.suffix == ".py"]
    assert files
    assert [
        line for path in files for line in length_problems(str(path.relative_to(ROOT)), path.read_text())
    ] == []


def test_a_long_module_is_found() -> None:
    """One line over the limit is a finding, the limit itself is none."""
    assert length_problems("a.py", "x\n" * MAX_LINES) == []
    assert length_problems("a.py", "x\n" * (MAX_LINES + 1)) != []


@pytest.mark.parametrize("package", WHEELS)
def test_tests_mirror_modules(package: str) -> None:
    """Each module of a wheel has its tests where its path says."""
    wheel = PACKAGES / wheel_name(package)
    assert mirror_problems(wheel / "src" / package, wheel / "tests") == []


def test_a_missing_mirror_is_found(tmp_path: Path) -> None:
    """A module without its test file is named; private modules need none."""
    source, tests = tmp_path / "src", tmp_path / "tests"
    (source / "store").mkdir(parents=True)
    (tests / "store").mkdir(parents=True)
    for name in ("__init__.py", "_private.py", "store/jobs.py", "store/queues.py"):
        (source / name).touch()
    (tests / "store" / "test_jobs.py").touch()
    (finding,) = mirror_problems(source, tests)
    assert finding.startswith("store/queues.py: ")


@pytest.mark.parametrize("package", WHEELS)
def test_exports_are_listed_sorted_and_there(package: str) -> None:
    """Every package with code in its `__init__` lists what it offers, in order, and has it."""
    source = PACKAGES / wheel_name(package) / "src"
    with_code = [path for path in source_files(package, "__init__.py") if path.read_text().strip()]
    names = [".".join(path.parent.relative_to(source).parts) for path in with_code]
    assert package in names
    assert [line for name in names for line in export_problems(name)] == []


@pytest.mark.parametrize(
    "text",
    ["here = 1", "__all__ = ['b', 'a']\na = b = 1", "__all__ = ['a', 'a']\na = 1", "__all__ = ['missing']"],
    ids=["no __all__", "not sorted", "repeated", "not there"],
)
def test_bad_exports_are_found(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without `__all__`, or with one that is unsorted or wrong, is a finding."""
    (tmp_path / "rrq_bad_sample.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rrq_bad_sample", raising=False)
    assert len(export_problems("rrq_bad_sample")) == 1


@pytest.mark.parametrize("package", UPPER)
def test_wheels_use_public_names_only(package: str) -> None:
    """Across wheels, only what the contract wheel exports is imported."""
    import rrq_protocol

    files = source_files(package)
    assert [
        line for path in files for line in foreign_names(path.name, path.read_text(), rrq_protocol.__all__)
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "from rrq_protocol import _hidden",
        "from rrq_protocol.frames import encode_frame",
        "import rrq_protocol.keys",
    ],
)
def test_a_private_name_is_found(text: str) -> None:
    """A name that is not exported, and a module that is not public, are findings."""
    assert len(foreign_names("a.py", text, ["Keyspace"])) == 1


def test_public_names_are_no_finding() -> None:
    """Exported names and the public submodules may be used."""
    text = "from rrq_protocol import Keyspace, transitions\nfrom rrq_protocol.settings import Settings"
    assert foreign_names("a.py", text, ["Keyspace"]) == []
