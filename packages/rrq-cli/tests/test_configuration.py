"""The settings a command line means, and what is said where there are none."""

from pathlib import Path

import pytest

from rrq_cli.configuration import no_file, settings_for, settings_with_origins
from rrq_cli.exits import CliError
from rrq_cli.params import GlobalOptions
from rrq_protocol import SettingsError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("RRQ_KEY_PREFIX", "RRQ_REDIS_DSN", "RRQ_CONFIG", "RRQ_EXECUTOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_options_win_over_the_file() -> None:
    """`--prefix` and `--redis-dsn` win over the settings file, which wins over the defaults."""
    Path("rrq.toml").write_text("[rrq]\nkey_prefix = 'file'\ndefault_queue_name = 'q'\n")
    assert settings_for(GlobalOptions()).key_prefix == "file"
    settings, origins = settings_with_origins(GlobalOptions(prefix="given"))
    assert (settings.key_prefix, settings.default_queue_name) == ("given", "q")
    assert "rrq.toml" in str(origins["default_queue_name"])
    Path("other.toml").write_text("[rrq]\nkey_prefixx = 'x'\n")
    with pytest.raises(SettingsError, match="did you mean"):
        settings_for(GlobalOptions(config="other.toml"))


@pytest.mark.parametrize("named_by", ["--config", "RRQ_CONFIG"])
def test_a_named_file_that_is_missing(folder: Path, named_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which file was expected, who named it, and shows one that works; it advises no command."""
    if named_by == "RRQ_CONFIG":
        monkeypatch.setenv("RRQ_CONFIG", "missing.toml")
    with pytest.raises(CliError) as failed:
        settings_for(GlobalOptions(config="missing.toml" if named_by == "--config" else None))
    assert failed.value.code == 78
    text = str(failed.value)
    assert f"no settings file {folder / 'missing.toml'}, though {named_by} names it" in text
    assert 'redis_dsn = "embedded://.rrq"' in text
    assert "rrq init" not in text
    example = "\n".join(line.strip() for line in text.splitlines()[-2:])
    (folder / "missing.toml").write_text(example)
    assert settings_for(GlobalOptions(config="missing.toml")).redis_dsn.reveal() == "embedded://.rrq"


def test_no_file_is_worth_a_remark_unless_redis_was_named(folder: Path) -> None:
    """Where nothing said which Redis is meant, the folder may be the wrong one."""
    assert no_file(settings_for(GlobalOptions())) == (
        f"no rrq.toml found in {folder}; using the defaults (--config FILE names another one)"
    )
    assert no_file(settings_for(GlobalOptions(redis_dsn="redis://localhost"))) is None
    Path("rrq.toml").write_text("[rrq]\n")
    assert no_file(settings_for(GlobalOptions())) is None
