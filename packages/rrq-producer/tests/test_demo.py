"""The producing part of the demo."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from rrq_producer.demo import CONFIGURATION, FAILED, OK, main, python_files
from rrq_protocol import Keyspace


def _config(folder: Path, url: str, prefix: str) -> str:
    file = folder / "rrq.toml"
    file.write_text(f'redis_dsn = "{url}"\nkey_prefix = "{prefix}"\n')
    return str(file)


def test_each_file_is_one_job(tmp_path: Path, redis_url: str, redis_client: Any, keyspace: Keyspace) -> None:
    """One job per Python file, in sorted order, told as JSON lines whose counts go up to the total."""
    source = tmp_path / "source"
    for n in range(620):
        path = source / f"{n % 7}" / f"module_{n:03}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (source / "notes.txt").touch()
    command = [sys.executable, "-m", "rrq_producer.demo", "--files", str(source)]
    command += ["--config", _config(tmp_path, redis_url, keyspace.prefix), "--queue", "work"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (OK, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[:2] == [
        {"event": "enqueued", "count": 500, "total": 620},
        {"event": "enqueued", "count": 620, "total": 620},
    ]
    assert (events[2]["event"], events[2]["total"], events[2]["seconds"] >= 0) == ("done", 620, True)
    ids = redis_client.zrange(keyspace.queue("work"), 0, -1)
    records = [redis_client.hgetall(keyspace.job(job_id.decode())) for job_id in ids]
    paths = [json.loads(record[b"job_params"])["path"] for record in records]
    assert paths == sorted(str(path) for path in source.rglob("*.py"))
    assert {record[b"function_name"] for record in records} == {b"analyse_source"}
    assert {record[b"max_retries"] for record in records} == {b"3"}


def test_a_name_that_is_no_utf8_is_a_job_too(
    tmp_path: Path, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Its path travels as a URI, byte by byte; the count is that of all files."""
    source = tmp_path / "source"
    source.mkdir()
    names = [b"caf\xe9.py", b"plain.py", b"two\nlines.py"]
    for name in names:
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).touch()
    (source / os.fsdecode(b"loop\xff.py")).symlink_to(source / os.fsdecode(b"loop\xff.py"))
    command = [sys.executable, "-m", "rrq_producer.demo", "--files", str(source)]
    command += ["--config", _config(tmp_path, redis_url, keyspace.prefix)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (OK, "")
    assert json.loads(done.stdout.splitlines()[0]) == {"event": "enqueued", "count": 3, "total": 3}
    ids = redis_client.zrange(keyspace.queue("demo"), 0, -1)
    params = [json.loads(redis_client.hget(keyspace.job(job_id.decode()), "job_params")) for job_id in ids]
    assert {each["path"] for each in params} == {
        f"file://{source}/caf%E9.py",
        f"{source}/plain.py",
        f"{source}/two\nlines.py",
    }


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Links to folders are followed once; one to nowhere is no file."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").touch()
    (tmp_path / "inner" / "again").symlink_to(tmp_path)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert [Path(path).name for path in python_files(tmp_path)] == ["a.py"]
    assert python_files(tmp_path / "inner" / "a.py") == [str(tmp_path / "inner" / "a.py")]


def test_the_standard_library_comes_without_what_was_installed() -> None:
    """Of the interpreter's library, installed packages are left out; the unparsable files of its tests are
    not."""
    files = python_files(Path(sysconfig.get_paths()["stdlib"]))
    assert len(files) > 500
    assert not [path for path in files if "site-packages" in path or "dist-packages" in path]
    assert files == sorted(set(files))


@pytest.mark.parametrize(
    ("files", "dsn", "code", "text"),
    [
        ("nowhere", None, FAILED, "nowhere"),
        (".", "redis://no-such-host.invalid/0", CONFIGURATION, "unknown host"),
        (".", "localhost", CONFIGURATION, "redis_dsn"),
    ],
)
def test_a_failure_is_one_clear_line(
    files: str, dsn: str | None, code: int, text: str, tmp_path: Path, redis_url: str,
    capsys: pytest.CaptureFixture[str], keyspace: Keyspace,
) -> None:  # fmt: skip
    """What is wrong is told in one line, with an exit code for what kind of thing it is."""
    (tmp_path / "a.py").touch()
    config = _config(tmp_path, dsn or redis_url, keyspace.prefix)
    assert main(["--files", str(tmp_path / files), "--config", config]) == code
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1
    assert said.startswith("rrq: ")


def test_a_missing_configuration_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A settings file that is not there has the exit code of configuration errors."""
    assert main(["--config", str(tmp_path / "none.toml")]) == CONFIGURATION
    assert "none.toml" in capsys.readouterr().err
