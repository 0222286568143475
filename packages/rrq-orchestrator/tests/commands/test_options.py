"""Options shared by commands, and the settings they lead to."""

from pathlib import Path

import click
import pytest

from rrq_orchestrator.commands.options import embedded_folder, load
from rrq_protocol import Settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("RRQ_CONFIG", "RRQ_REDIS_DSN", "RRQ_KEY_PREFIX"):
        monkeypatch.delenv(variable, raising=False)


def test_queues_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    """`--queue` means these queues and no others; a full Redis key is shortened."""
    (tmp_path / "rrq.toml").write_text("[rrq.worker]\nqueues = {slow = 1}\nstrict = true\n")
    assert load(None, {}).worker.queues == {"slow": 1}
    settings = load(None, {}, ["critical=6", "rrq:queue:default"])
    assert settings.worker.queues == {"critical": 6, "default": 1}
    assert settings.worker.strict


@pytest.mark.parametrize("text", ["a=", "a=0", "a=-1", "a=x", "a=1.5", "=3", "", "a b", "a=²"])
def test_a_wrong_queue_is_a_usage_error(text: str) -> None:
    """The message says which option, what was expected and what came."""
    with pytest.raises(click.BadParameter) as caught:
        load(None, {}, [text])
    assert caught.value.exit_code == 2
    assert "--queue" in caught.value.format_message()


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """What was not given changes nothing."""
    (tmp_path / "other.toml").write_text('key_prefix = "file"\nlog_level = "error"\n')
    settings = load("other.toml", {"key_prefix": "option", "log_level": None})
    assert (settings.key_prefix, settings.log_level) == ("option", "error")


def test_the_folder_of_the_embedded_server_is_next_to_the_file(tmp_path: Path) -> None:
    """It is found from anywhere, whether it exists or not; another Redis has none."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "rrq.toml").write_text('redis_dsn = "embedded://.data"\n')
    assert embedded_folder(load("project/rrq.toml", {})) == tmp_path / "project" / ".data"
    assert embedded_folder(load(None, {})) == tmp_path / ".rrq"
    assert embedded_folder(Settings(redis_dsn="redis://localhost")) is None  # type: ignore[arg-type]
