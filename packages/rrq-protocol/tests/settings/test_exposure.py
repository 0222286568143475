"""Secrets that other users of the machine could read are named."""

from pathlib import Path

import pytest

from rrq_protocol.settings import find_exposed, load_settings_with_origins

CANARY = "canary-7f3a"
DSN = f"redis://:{CANARY}@localhost/0"


def _write(path: Path, text: str, mode: int) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def _exposed(folder: Path, **sources: object) -> list[str]:
    environ: dict[str, str] = {}
    settings, origins = load_settings_with_origins(environ=environ, cwd=folder, **sources)  # type: ignore[arg-type]
    found = find_exposed(settings, origins)
    assert CANARY not in "".join(found)
    return found


@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o640, 0), (0o644, 2)])
def test_a_readable_file_with_a_password(tmp_path: Path, mode: int, count: int) -> None:
    """A settings file with a password, or with variables of runners, should not be readable by everyone."""
    text = f'redis_dsn = "{DSN}"\n[runners.python]\napp = "a:b"\nenv = {{ TOKEN = "{CANARY}" }}\n'
    _write(tmp_path / "rrq.toml", text, mode)
    found = _exposed(tmp_path)
    assert len(found) == count
    assert all("chmod o-r" in each for each in found)


def test_a_readable_file_without_a_secret(tmp_path: Path) -> None:
    """A file that holds none may be read by everyone."""
    _write(tmp_path / "rrq.toml", 'redis_dsn = "redis://localhost/0"\n', 0o644)
    assert _exposed(tmp_path) == []


@pytest.mark.parametrize(
    ("mode", "said"), [(0o600, None), (0o644, "can read"), (0o606, "can change"), (0o602, "can change")]
)
def test_the_file_of_the_dsn(tmp_path: Path, mode: int, said: str | None) -> None:
    """The file that redis_dsn_file names should be its owner's own; its settings file then holds nothing."""
    secret = _write(tmp_path / "dsn", DSN, mode)
    _write(tmp_path / "rrq.toml", 'redis_dsn_file = "dsn"\n', 0o644)
    found = _exposed(tmp_path)
    assert [said in each and str(secret) in each for each in found if said] == ([True] if said else [])
    assert bool(found) is bool(said)


def test_a_password_on_a_command_line(tmp_path: Path) -> None:
    """It is shown to everybody who lists processes."""
    (found,) = _exposed(tmp_path, overrides={"redis_dsn": DSN})
    assert "command line" in found
    assert _exposed(tmp_path, overrides={"redis_dsn": "redis://localhost/0"}) == []
