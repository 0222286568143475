"""The workspace's own tools do what the Makefile promises."""

import importlib.util
import subprocess
import sys
import tomllib
from types import ModuleType

import pytest

from support.rules import ROOT


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("statements", "accepted"), [(40, True), (41, False)])
def test_long_functions_are_refused(statements: int, accepted: bool) -> None:
    """Ruff, as set up here, refuses a function of more than 40 statements."""
    text = "def long() -> None:\n" + "    print()\n" * statements
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "PLR0915",
        "--stdin-filename",
        "packages/sample.py",
        "-",
    ]
    done = subprocess.run(command, cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=False)
    assert ("PLR0915" not in done.stdout) is accepted
    assert (done.returncode == 0) is accepted


def test_pins_keep_markers_only_where_needed() -> None:
    """One version is pinned for every system; several versions keep the markers that tell them apart."""
    exported = (
        "# made by a tool\n-e ./packages/rrq-cli\nanyio==4.1\ncolorama==0.4 ; sys_platform == 'win32'\n"
        "numpy==1.0 ; python_full_version < '3.12'\nnumpy==2.0 ; python_full_version >= '3.12'\n"
    )
    assert _tool("lock").pins(exported) == [
        "anyio==4.1",
        "colorama==0.4",
        "numpy==1.0 ; python_full_version < '3.12'",
        "numpy==2.0 ; python_full_version >= '3.12'",
    ]


def test_pins_are_written_between_their_marks() -> None:
    """Only the block between the marks changes, and the result is TOML that holds the pins."""
    before = (ROOT / "pyproject.toml").read_text()
    after = _tool("lock").with_pins(before, ["anyio==4.1"])
    assert tomllib.loads(after)["tool"]["uv"]["constraint-dependencies"] == ["anyio==4.1"]
    assert after.partition("# lock: begin")[0] == before.partition("# lock: begin")[0]
    assert after.partition("# lock: end")[2] == before.partition("# lock: end")[2]
    with pytest.raises(ValueError, match="expected one block"):
        _tool("lock").with_pins("[tool.uv]\n", [])


def test_everything_is_type_checked() -> None:
    """Each Python file of the repository's code is in exactly one run of mypy."""
    runs = _tool("typecheck").runs(ROOT)
    checked = [
        file
        for _, paths in runs
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*.py"))
    ]
    tracked = set(ROOT.glob("packages/**/*.py")) | set((ROOT / "tests").rglob("*.py"))
    assert len(checked) == len(set(checked))
    assert tracked - set(checked) == set()


def test_make_help_names_every_target() -> None:
    """`make` without a target lists what can be made, each with a line of its own."""
    done = subprocess.run(["make", "help"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    promised = {
        "setup",
        "demo",
        "test",
        "lint",
        "types",
        "format",
        "check",
        "bench",
        "docs",
        "lock",
        "wheels",
        "clean",
    }
    assert promised <= listed
