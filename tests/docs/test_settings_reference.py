"""`docs/settings.md` says what the settings model says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from rrq_protocol.settings import RunnerConfig, Settings
from rrq_protocol.settings.schema import fields_of
from support.rules import ROOT


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """`tools/docs.py` as a module."""
    spec = importlib.util.spec_from_file_location("tool_docs", ROOT / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_current(docs: ModuleType) -> None:
    """Whoever changes the model runs `make docs`."""
    assert docs.outdated(ROOT) == []


def test_every_key_is_described(docs: ModuleType) -> None:
    """Each key has its row, with its environment variable and a sentence of meaning."""
    page = docs.settings_page()
    for name, field in fields_of(Settings).items():
        # A table of another kind may have a key of the same name.
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert len([row for row in rows if f"`RRQ_{name.upper()}`" in row]) == 1, rows
        assert field.description.endswith(".")
    for name in fields_of(RunnerConfig):
        assert f"`RRQ_RUNNERS__<NAME>__{name.upper()}`" in page


def test_check_writes_nothing(docs: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` names the stale page and fails; without it the page is written, and the check passes."""
    page = tmp_path / "docs" / "settings.md"
    assert docs.main(["--check"], tmp_path) == 1
    assert "docs/settings.md is not current" in capsys.readouterr().err
    assert not page.exists()
    assert docs.main([], tmp_path) == 0
    assert docs.main(["--check"], tmp_path) == 0
    page.write_text(page.read_text().replace("`lease_seconds`", "`lease`"))
    assert docs.main(["--check"], tmp_path) == 1


def test_unknown_arguments_are_refused(docs: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt option writes nothing and says how to call."""
    assert docs.main(["--chek"]) == 2
    assert "usage:" in capsys.readouterr().err
