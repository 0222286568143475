"""Modules of the first library are found under their names, unless a package of that name is there."""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from rrq_protocol import load_settings
from rrq_protocol.old_modules import install_old_modules


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Leave neither the finder nor what it found behind."""
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
    for name in [each for each in sys.modules if each.partition(".")[0] == "rrq"]:
        del sys.modules[name]


def test_a_module_has_the_names_of_the_one_in_its_place() -> None:
    """With a warning where it is imported; a name it does not have is told as of any module."""
    install_old_modules()
    with pytest.warns(DeprecationWarning, match=r"rrq\.settings is of an earlier version") as caught:
        module = importlib.import_module("rrq.settings")
    assert len(caught) == 1
    assert module.RRQSettings().default_queue_name == load_settings().default_queue_name
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
    with pytest.raises(ModuleNotFoundError, match=r"rrq\.nothing"):
        importlib.import_module("rrq.nothing")


def test_every_name_leads_somewhere() -> None:
    """Each entry point is of a module that is there."""
    names = {each.name: each.value for each in entry_points(group="rrq.old_modules")}
    assert {"rrq.client", "rrq.config", "rrq.exc", "rrq.registry", "rrq.settings", "rrq.worker"} <= set(names)
    for value in names.values():
        assert importlib.util.find_spec(value) is not None


def test_a_package_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is added to it, and nothing in it is hidden."""
    (tmp_path / "rrq").mkdir()
    (tmp_path / "rrq" / "__init__.py").touch()
    (tmp_path / "rrq" / "client.py").write_text("theirs = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    install_old_modules()
    assert importlib.import_module("rrq.client").theirs
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("rrq.settings")


def test_installing_twice_is_once() -> None:
    """The second call adds nothing."""
    install_old_modules()
    before = list(sys.meta_path)
    install_old_modules()
    assert sys.meta_path == before
