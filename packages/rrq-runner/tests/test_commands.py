"""The command line: what it understands and how it refuses."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rrq_runner.__main__ import main
from rrq_runner.commands import executor, python, runner
from rrq_runner.server import runner_version


def invoke(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command in this process and return exit code and output."""
    cleared = dict.fromkeys(
        ("RRQ_RUNNER_SETTINGS", "RRQ_EXECUTOR_SETTINGS", "RRQ_RUNNER_SOCKET", "RRQ_RUNNER_TCP_SOCKET"), None
    )
    done = CliRunner(env={**cleared, **(env or {})}).invoke(python, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_help_says_what_there_is() -> None:
    """Options, the import path, the environment and the exit codes are told."""
    code, text = invoke("--help")
    assert code == 0
    for word in ("--settings", "--unix-socket", "--tcp-socket", "--stdio", "current directory", "78"):
        assert word in text


def test_the_version_is_told() -> None:
    """As of every command."""
    assert invoke("--version") == (0, f"rrq-runner, version {runner_version()}\n")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "problem"),
    [
        ((), {}, 2, "no settings: give --settings MODULE:ATTR"),
        (("--settings", "a:b"), {}, 2, "no address"),
        (("--settings", "a:b", "--stdio", "--unix-socket", "/x"), {}, 2, "several addresses"),
        (("--settings", "a:b", "--tcp-socket", "192.0.2.1:1"), {}, 2, "an encrypted tunnel"),
        (
            ("--settings", "nowhere_at_all:b", "--unix-socket", "s"),
            {},
            78,
            "no module named 'nowhere_at_all'",
        ),
        (("--settings", "app.py", "--unix-socket", "s"), {}, 78, "not a file name"),
        (
            ("--unix-socket", "s"),
            {"RRQ_RUNNER_SETTINGS": "json:nothing"},
            78,
            "module json has no attribute 'nothing'",
        ),
        (
            ("--unix-socket", "s"),
            {"RRQ_EXECUTOR_SETTINGS": "json:x"},
            78,
            "RRQ_EXECUTOR_SETTINGS is deprecated",
        ),
        (("--settings", "json:x", "--socket", "s"), {}, 78, "--socket is deprecated, use --unix-socket"),
        (("--bogus",), {}, 2, "No such option"),
    ],
)
def test_mistakes_have_one_message_and_a_code(
    arguments: tuple[str, ...],
    env: dict[str, str],
    code: int,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 for wrong usage, 78 for settings that cannot be loaded; the text says what to correct."""
    monkeypatch.chdir(tmp_path)
    found, text = invoke(*arguments, env=env)
    assert found == code
    assert problem in text
    assert "Traceback" not in text


def test_the_group_offers_the_command() -> None:
    """``rrq runner python`` is the same command."""
    assert isinstance(runner, click.Group)
    assert runner.commands["python"] is python


def test_the_old_name_of_the_group_is_understood() -> None:
    """``rrq executor python`` warns, and is ``rrq runner python``."""
    done = CliRunner(env={"RRQ_RUNNER_SETTINGS": None, "RRQ_EXECUTOR_SETTINGS": None}).invoke(
        executor, ["python"]
    )
    assert done.exit_code == 2
    assert "rrq executor is deprecated, use rrq runner" in done.output
    assert "no settings" in done.output


@pytest.mark.parametrize(("name", "warned"), [("rrq-runner", False), ("rrq-executor", True)])
def test_the_old_name_of_the_script_is_understood(
    name: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a warning on standard error."""
    monkeypatch.setattr("sys.argv", [f"/usr/bin/{name}", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert ("rrq-executor is deprecated, use rrq-runner" in told.err) is warned
    assert told.out.startswith("rrq-runner, version")


@pytest.mark.parametrize(
    ("name", "address", "code", "said"),
    [
        ("rrq-executor", {}, 0, "rrq-executor without an address is deprecated, use rrq-runner --stdio"),
        ("rrq-executor", {"RRQ_RUNNER_TCP_SOCKET": "nonsense"}, 2, "no TCP address"),
        ("rrq-executor", {"RRQ_EXECUTOR_TCP_SOCKET": "nonsense"}, 2, "no TCP address"),
        ("rrq-runner", {}, 2, "no address"),
        ("rrq executor python", {}, 0, "rrq-executor without an address is deprecated"),
        ("rrq executor python", {"RRQ_RUNNER_TCP_SOCKET": "nonsense"}, 2, "no TCP address"),
        ("rrq runner python", {}, 2, "no address"),
    ],
)
def test_the_old_names_speak_stdio_without_an_address(
    name: str, address: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    """As earlier versions did, with a warning: the script, and the command that launches it. An address that
    is given counts; the new names ask for one."""
    (tmp_path / "handlers.py").write_text("from rrq_runner import Registry\nregistry = Registry()\n")
    program = f"import sys; sys.argv[0] = {name!r}; from rrq_runner.__main__ import main; main()"
    words = name.split()
    if len(words) > 1:
        program = f"from rrq_runner.commands import {words[1]}; {words[1]}(prog_name='rrq {words[1]}')"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *words[2:], "--settings", "handlers:registry"],
        cwd=tmp_path,
        env={**kept, **address},
        stdin=subprocess.DEVNULL,  # its end is the end of the runner
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_the_entry_points_lead_here() -> None:
    """The rrq command finds the group, and both script names lead to the same function."""
    # Other wheels bring more of the same group.
    found = {
        each.name: each for each in entry_points(group="rrq.commands") if each.value.startswith("rrq_runner.")
    }
    assert found["runner"].load() is runner
    assert found["executor"].load() is executor
    scripts = {each.name: each.value for each in entry_points(group="console_scripts")}
    assert scripts["rrq-runner"] == scripts["rrq-executor"] == "rrq_runner.__main__:main"
