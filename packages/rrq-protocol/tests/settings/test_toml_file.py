"""Finding and reading rrq.toml."""

from pathlib import Path

import pytest

from rrq_protocol import SettingsError
from rrq_protocol.settings.toml_file import find_config, key_lines, read_config
from rrq_protocol.settings.tree import plain


def _write(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "rrq.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def _problem(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_config(path, "--config")
    (problem,) = caught.value.problems
    return problem


def test_which_file(tmp_path: Path) -> None:
    """The argument, then RRQ_CONFIG, then its old name, then ./rrq.toml; relative to the given folder."""
    environ = {"RRQ_CONFIG": "b.toml", "RRQ_EXECUTOR_CONFIG": "c.toml"}
    assert find_config("a.toml", environ, tmp_path) == (tmp_path / "a.toml", "--config")
    assert find_config(None, environ, tmp_path) == (tmp_path / "b.toml", "RRQ_CONFIG")
    del environ["RRQ_CONFIG"]
    assert find_config(None, environ, tmp_path) == (tmp_path / "c.toml", "RRQ_EXECUTOR_CONFIG")
    assert find_config(None, {}, tmp_path) is None
    path = _write(tmp_path, "")
    assert find_config(None, {}, tmp_path) == (path, "the current folder")


@pytest.mark.parametrize("text", ["[rrq]\nmax_crashes = 2\n[other]\na = 1", "max_crashes = 2"])
def test_table_or_root(tmp_path: Path, text: str) -> None:
    """Settings stand in [rrq], where other tables are somebody else's, or at the root."""
    file = read_config(_write(tmp_path, text), "--config")
    assert plain(file.table) == {"max_crashes": 2}
    assert (
        str(file.table.entries["max_crashes"].origin)
        == f"rrq.toml:{text[: text.index('max')].count(chr(10)) + 1}"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = 1\nb = \n", "2:5"), ("a = [1,\n", "2:1"), ("[rrq\n", "1:5"), ("a = 1\na = 2\n", "2:")],
)
def test_broken_toml_has_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    """A syntax error says where it is, also at the end of the text."""
    path = _write(tmp_path, text)
    problem = _problem(path)
    assert problem.startswith(f"{path}:{place}")
    assert "not valid TOML" in problem


def test_unreadable_files(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8, nested beyond reason, not a table: each has its own words."""
    assert "no such file, though --config names it" in _problem(tmp_path / "missing.toml")
    assert "expected a file" in _problem(tmp_path)
    assert "not UTF-8 text (byte 4)" in _problem(_write(tmp_path, b"a = \xff"))
    assert "cannot be read as TOML" in _problem(_write(tmp_path, "a = " + "[" * 20_000))
    assert "rrq: expected a table, got 1" in _problem(_write(tmp_path, "rrq = 1"))
    assert "rrq: expected a table, got a list" in _problem(_write(tmp_path, "[[rrq]]"))
    assert ":2:6: not valid TOML: this key was set before" in _problem(_write(tmp_path, "a = 1\na = 2"))
    assert "nested more than" in _problem(_write(tmp_path, "[" + ".".join("a" * 60) + "]"))
    assert "cannot be read" in _problem(tmp_path / "a\0b")


def test_a_mark_in_front_is_no_mistake(tmp_path: Path) -> None:
    """Some editors write one; an empty file says nothing."""
    marked = _write(tmp_path, b"\xef\xbb\xbfmax_crashes = 2")
    assert plain(read_config(marked, "--config").table) == {"max_crashes": 2}
    assert plain(read_config(_write(tmp_path, ""), "--config").table) == {}


def test_files_others_can_change_are_refused(tmp_path: Path) -> None:
    """Whoever can write the file decides what is started (S11), so that must be wanted."""
    path = _write(tmp_path, "max_crashes = 2", 0o666)
    assert "any user can change this file" in _problem(path)
    assert plain(read_config(path, "--config", allow_insecure=True).table) == {"max_crashes": 2}
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    assert "any user can replace files in this folder" in _problem(path)
    tmp_path.chmod(0o1777)  # as /tmp: others cannot replace what is mine
    assert plain(read_config(path, "--config").table) == {"max_crashes": 2}


def test_key_lines() -> None:
    """Headers, dotted and quoted keys, arrays of tables; texts over several lines are skipped."""
    text = '''# comment
[rrq]
max_crashes = 2
watch.path = "."
[rrq.runners."my py"]
cmd = [
  "a",
]
text = """
max_crashes = 3
"""
env = { A = "1" }
[[rrq.cron_jobs]]
schedule = "x"
[[rrq.cron_jobs]]
schedule = "y"
'''
    lines = key_lines(text)
    assert lines["rrq", "max_crashes"] == 3
    assert lines["rrq", "watch", "path"] == 4
    assert lines["rrq", "runners"] == lines["rrq", "runners", "my py"] == 5
    assert lines["rrq", "runners", "my py", "env"] == 12
    assert lines["rrq", "cron_jobs", "[1]", "schedule"] == 16


def test_inline_keys_have_the_line_of_their_table(tmp_path: Path) -> None:
    """A key without a line of its own is found at what encloses it."""
    file = read_config(_write(tmp_path, '[rrq]\nhttp = { address = "x" }\n'), "--config")
    http = file.table.entries["http"]
    assert str(http.origin) == "rrq.toml:2"
    assert "rrq.toml:2" in repr(http)
