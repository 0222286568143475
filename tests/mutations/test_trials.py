"""The mutants are complete and fit the code, and only a real catch counts as one."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from support.mutations import (
    ALWAYS,
    MUTANTS,
    NO_SUCH_SHAPE,
    UPSTREAM,
    Edit,
    Mutant,
    Report,
    Stale,
    Trial,
    Trials,
    drawn,
    judge,
    problems_of_baseline,
    seed,
)
from support.mutations.table import SAMPLE
from support.rules import PACKAGES, ROOT, wheel_name

BACKOFF = "packages/rrq-protocol/tests/test_backoff.py"
HARMLESS = Mutant(
    "harmless",
    "a docstring says something else",
    (Edit("rrq_protocol/backoff.py", '"""How long to wait', '"""How short to wait'),),
    (f"{BACKOFF}::test_no_base_means_no_delay",),
)
# Of any folder, as far as the judge can see.
HERE = Path("/copies")
TESTED = {"rrq_protocol": "/copies/rrq_protocol/__init__.py"}
FAILED = Trial(HERE, 1, Report(0, [], [("test_x", "assert 1 == 2")], [], TESTED), "", 1.0)


def seen(code: int | None = 1, **report: object) -> Trial:
    """Return a trial like FAILED but for what is given."""
    assert FAILED.report is not None
    fields = {name: getattr(FAILED.report, name) for name in FAILED.report.__struct_fields__}
    return dataclasses.replace(FAILED, code=code, report=Report(**{**fields, **report}))


def test_each_upstream_defect_has_a_mutant_or_a_reason() -> None:
    """U1 to U27, in whatever form; and no two mutants have the same name."""
    tags = [mutant.tag for mutant in MUTANTS]
    assert len(tags) == len(set(tags))
    seeded = {match[0] for tag in tags if (match := re.match(r"U\d+", tag))}
    assert seeded.isdisjoint(NO_SUCH_SHAPE)
    assert seeded | set(NO_SUCH_SHAPE) == set(UPSTREAM)


@pytest.mark.parametrize("row", MUTANTS, ids=[mutant.tag for mutant in MUTANTS])
def test_a_mutant_fits_the_code(row: Mutant, tmp_path: Path) -> None:
    """What it changes is there, once, and the tests it names are there, so that no refactoring disables it
    unnoticed."""
    for edit in row.edits:
        copy = tmp_path / edit.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((PACKAGES / wheel_name(edit.package) / "src" / edit.file).read_text())
    seed(row, tmp_path)
    for test in row.caught_by:
        file, _, name = test.partition("::")
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, functions)}, test


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("rrq_protocol/backoff.py", "no such text", "", "found it 0 times"),
        ("rrq_protocol/backoff.py", "self", "", "found it [0-9]+ times"),
        ("rrq_protocol/backoff.py", "def delay_s(", "def (", "makes no Python"),
        ("rrq_protocol/gone.py", "x", "y", "is gone"),
    ],
)
def test_a_mutant_that_does_not_fit_is_an_error(
    file: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    """It names the mutant, the file and the text."""
    (tmp_path / "rrq_protocol").mkdir()
    text = (PACKAGES / "rrq-protocol" / "src" / "rrq_protocol" / "backoff.py").read_text()
    (tmp_path / "rrq_protocol" / "backoff.py").write_text(text)
    with pytest.raises(Stale, match=f"(?s)a: b.*{Path(file).name}.*{said}|a: b.*{said}"):
        seed(Mutant("a", "b", (Edit(file, old, new),), ()), tmp_path)


@pytest.mark.parametrize(
    ("trial", "problem"),
    [
        (seen(None), "did not end in time"),
        (seen(2), "did not get to run the tests"),
        (dataclasses.replace(FAILED, report=None), "did not get to run the tests"),
        (seen(0, passed=3, failed=[]), "survived: 3 tests passed"),
        (seen(failed=[], errors=[("test_x", "assert 1 == 2")]), "only its set-up"),
        (seen(tested={"rrq_protocol": "/elsewhere/rrq_protocol/__init__.py"}), "not the copies"),
        (seen(failed=[("test_x", "NameError: name 'x' is not defined")]), "not wrong but broken"),
        (seen(failed=[("test_x", "Script attempted to access nonexistent global variable 'x'")]), "broken"),
    ],
)
def test_only_a_failed_test_of_the_changed_code_is_a_catch(trial: Trial, problem: str) -> None:
    """Not one that hung, could not be run, broke before it began, or looked at other code."""
    verdict = judge(HARMLESS, trial)
    assert (verdict.caught_by, verdict.skipped) == ("", False)
    assert problem in verdict.problem
    assert "test_no_base_means_no_delay" in str(verdict)


def test_a_catch_names_the_test() -> None:
    """Where the tests are not for this system nothing is claimed."""
    assert (judge(HARMLESS, FAILED).caught_by, judge(HARMLESS, FAILED).problem) == ("test_x", "")
    assert judge(HARMLESS, seen(0, failed=[], skipped=["test_x"])).skipped


@pytest.mark.parametrize(
    ("trial", "problem"),
    [
        (seen(None), "did not end in time"),
        (FAILED, "test_x: assert 1 == 2"),
        (seen(0, failed=[]), "no test passed"),
        (dataclasses.replace(FAILED, code=4, report=None), "exit code 4"),
        (seen(0, passed=1, failed=[], tested={}), "rrq_protocol: not the copy was tested"),
    ],
)
def test_a_baseline_has_to_pass_on_the_copies(trial: Trial, problem: str) -> None:
    """Else a failure on changed code would mean nothing."""
    assert problem in problems_of_baseline(trial, ["rrq_protocol"])[0]
    assert problems_of_baseline(seen(0, passed=1, failed=[]), ["rrq_protocol"]) == []


def test_a_mutant_that_changes_nothing_survives(redis_url: str) -> None:
    """Its tests run on the copy, and pass."""
    trials = Trials()
    verdict = trials.mutant(HARMLESS, redis_url)
    trials.close()
    assert verdict.problem == "survived: 1 tests passed, 0 were skipped", str(verdict)
    assert verdict.trial.foreign(["rrq_protocol"]) == []
    assert not verdict.trial.folder.exists()


def test_what_takes_too_long_is_ended(redis_url: str) -> None:
    """Nothing that was started for it is left."""
    trials = Trials(limit_s=0.1)
    verdict = trials.mutant(HARMLESS, redis_url)
    trials.close()
    assert "did not end in time" in verdict.problem
    mark = str(verdict.trial.folder).encode()
    environments = [path for path in Path("/proc").glob("[0-9]*/environ") if path.parent.name != "self"]
    assert not [path for path in environments if mark in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # another user's, or gone
        return b""


def test_a_run_draws_some_by_its_seed() -> None:
    """Upstream's defects are in every run; the same seed draws the same others; tags and `all` are taken at
    their word.
    """
    some = drawn("", "1")
    assert len(some) == len(ALWAYS) + SAMPLE < len(MUTANTS)
    assert {mutant.tag for mutant in some} > ALWAYS == set(UPSTREAM) - set(NO_SUCH_SHAPE)
    assert drawn("", "1") == some != drawn("", "2")
    assert drawn("all", "1") == list(MUTANTS)
    assert [mutant.tag for mutant in drawn("U9 U14", "1")] == ["U14", "U9"]
    with pytest.raises(ValueError, match="no mutant is called X1"):
        drawn("U9 X1", "1")
