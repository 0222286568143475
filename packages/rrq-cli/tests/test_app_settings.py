"""Settings that objects of Python programs hold; what a command makes of them: commands/test_check.py."""

from importlib import metadata
from typing import Any

import pytest

from rrq_cli.app_settings import app_settings
from rrq_cli.exits import CliError, ExitCode
from rrq_cli.params import GlobalOptions


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the wheel that runs handlers can load them."""

    def none(**group: Any) -> list[metadata.EntryPoint]:
        return []

    monkeypatch.setattr(metadata, "entry_points", none)
    with pytest.raises(CliError, match="pip install rrq-runner") as refusal:
        app_settings("app:settings", GlobalOptions())
    assert refusal.value.code == ExitCode.USAGE
