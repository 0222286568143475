"""The functions of earlier versions that read settings."""

from pathlib import Path

import pytest

from rrq_protocol import Settings, SettingsError
from rrq_protocol.old_names import RRQSettings, load_toml_settings


def test_values_go_above_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables above the file, what the program gives above both; unknown names are told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RRQ_DEFAULT_MAX_RETRIES", "7")
    settings = RRQSettings(redis_dsn="redis://elsewhere:6379/1")
    assert (settings.redis_dsn.reveal(), settings.default_max_retries) == ("redis://elsewhere:6379/1", 7)
    assert RRQSettings(default_max_retries=2).default_max_retries == 2
    with pytest.raises(SettingsError, match="unknown key"):
        RRQSettings(nothing=1)


def test_a_file_is_read(tmp_path: Path) -> None:
    """By its name."""
    (tmp_path / "shop.toml").write_text("[rrq]\ndefault_max_retries = 9\n")
    assert load_toml_settings(tmp_path / "shop.toml").default_max_retries == 9


def test_handlers_may_be_among_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept beside the settings, which are those of any program; without them nothing is there."""
    monkeypatch.chdir(tmp_path)
    registry, hook = object(), print
    settings = RRQSettings(job_registry=registry, on_startup=hook, default_max_retries=2)
    assert isinstance(settings, Settings)
    assert (settings.job_registry, settings.on_startup, settings.on_shutdown) == (registry, hook, None)
    assert settings.default_max_retries == 2
    assert RRQSettings().job_registry is None
