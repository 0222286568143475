"""Naming a settings object wrongly gives one line that says what to correct."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_protocol import SettingsError
from rrq_runner.errors import LoadError
from rrq_runner.loader import (
    add_working_directory,
    load_app_settings,
    load_runner_settings,
    split_reference,
)

APP = """
from rrq_runner import Registry, RunnerSettings
registry = Registry()
settings = RunnerSettings(registry=registry)
class Holder:
    inner = settings
number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder with a package ``shop``; forget what was imported."""
    before = set(sys.modules)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "reference", ["shop.app:settings", "shop.app.settings", "shop.app:Holder.inner", "shop.app:registry"]
)
def test_both_forms_load(reference: str) -> None:
    """A colon or a dot before the attribute; a bare registry counts as settings."""
    assert load_runner_settings(reference).registry.names == []


def test_handlers_beside_settings_load(folder: Path) -> None:
    """`RRQSettings` of the first library are taken with their handlers and hooks; without handlers, or with
    something else, what to write is told."""
    (folder / "shop" / "first.py").write_text(
        "from rrq_protocol.old_names import RRQSettings\n"
        "from rrq_runner import Registry\n"
        "def hook(): ...\n"
        "full = RRQSettings(job_registry=Registry(), on_startup=hook, on_shutdown=hook)\n"
        "empty = RRQSettings()\n"
        "odd = RRQSettings(job_registry=5)\n"
    )
    loaded = load_runner_settings("shop.first.full")
    hooks = [loaded.on_startup, loaded.on_shutdown]
    assert [getattr(hook, "__name__", None) for hook in hooks] == ["hook", "hook"]
    with pytest.raises(LoadError, match=r"write RRQSettings\(job_registry=job_registry"):
        load_runner_settings("shop.first.empty")
    with pytest.raises(LoadError, match="registry: expected a Registry, got int"):
        load_runner_settings("shop.first.odd")


def test_settings_of_rrq_are_found(folder: Path) -> None:
    """The object itself, or what handlers hold; handlers alone have none, and anything else is a mistake."""
    (folder / "shop" / "config.py").write_text(
        "from rrq_protocol import Settings\n"
        "from rrq_runner import Registry\n"
        "from rrq_runner.compat import PythonRunnerSettings\n"
        "rrq_settings = Settings(key_prefix='mine')\n"
        "handlers = PythonRunnerSettings(Registry(), rrq_settings=rrq_settings)\n"
    )
    for name in ("rrq_settings", "handlers"):
        found = load_app_settings(f"shop.config.{name}")
        assert found is not None
        assert found.key_prefix == "mine"
    assert load_app_settings("shop.app:settings") is None
    assert load_app_settings("shop.app:registry") is None
    with pytest.raises(SettingsError, match="expected RRQSettings or a RunnerSettings, but number is an int"):
        load_app_settings("shop.app:number")


@pytest.mark.parametrize(
    "reference", ["shop", "shop/app.py:settings", "app.py", "shop.app:", ":x", "shop..app:x", "a b:c"]
)
def test_malformed_references_are_explained(reference: str) -> None:
    """The expected forms are shown."""
    with pytest.raises(LoadError, match=r"expected pkg\.module:attr or pkg\.module\.attr"):
        split_reference(reference)


@pytest.mark.parametrize(
    ("text", "reference", "problem"),
    [
        (None, "shopp.app:settings", "no module named 'shopp'; run from the folder that holds it"),
        (None, "shop.ap:settings", "no module named 'shop.ap'"),
        (None, "shop.app:setings", "module shop.app has no attribute 'setings'; did you mean 'settings'?"),
        (None, "shop.app:Holder.outer", "has no attribute 'outer'; did you mean 'inner'?"),
        (None, "shop.app:number", "expected a RunnerSettings, but number is an int"),
        (
            "import nowhere",
            "shop.bad:x",
            "importing shop.bad failed: ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            "\n\n1 / 0",
            "shop.bad:x",
            "ZeroDivisionError: division by zero (",
        ),
        ("def (:", "shop.bad:x", "SyntaxError: "),
        ("import sys; sys.exit('bye')", "shop.bad:x", "SystemExit: bye"),
        ("import json; json.loads('{')", "shop.bad:x", "JSONDecodeError: "),
    ],
)
def test_each_mistake_is_one_line(text: str | None, reference: str, problem: str, folder: Path) -> None:
    """Missing modules, missing attributes, wrong types and failing imports are told with what to correct."""
    if text is not None:
        (folder / "shop" / "bad.py").write_text(text)
    with pytest.raises(LoadError) as caught:
        load_runner_settings(reference)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    if text is not None:
        line = text.count("\n") + 1
        assert str(caught.value).endswith(f"({folder}/shop/bad.py:{line})")


def test_the_working_directory_is_added_once(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The current folder goes first on the import path, as with ``python -m``."""
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    add_working_directory()
    add_working_directory()
    assert sys.path == [str(folder), "elsewhere"]
