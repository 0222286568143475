"""``rrq runner conformance`` as people and programs call it."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rrq_orchestrator.commands.runner import runner
from support import fake_runner

FAULTY = Path(fake_runner.__file__).with_name("faulty_runner.py")


def call(*arguments: str, fault: str = "none") -> Result:
    """Run the command on a runner with a fault."""
    command = shlex.join([sys.executable, "-S", str(FAULTY), fault])
    return CliRunner().invoke(
        runner, ["conformance", "--cmd", command, "--timeout", "30", *arguments], catch_exceptions=False
    )


def test_a_runner_that_passes_is_told_so() -> None:
    """In a table that ends with the verdict; exit code 0."""
    result = call("--check", "echo", "--check", "fail")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["pass", "echo"], ["pass", "fail"]]
    assert lines[-1] == "2 of 2 checks passed: the runner conforms"


def test_a_finding_has_exit_code_1() -> None:
    """The bytes are shown."""
    result = call("--check", "echo", fault="lossy")
    assert result.exit_code == 1
    assert "fail    echo" in result.output
    assert "the last bytes received:" in result.output


def test_programs_get_json() -> None:
    """One document, nothing else."""
    result = call("--check", "echo", "--transport", "stdio", "--json", fault="lossy")
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert (document["conforms"], document["transport"]) == (False, "stdio")
    assert document["command"][-1] == "lossy"


def test_variables_and_folder_reach_the_runner(tmp_path: Path) -> None:
    """As they would from rrq.toml."""
    code = "import os, sys; sys.exit(os.environ['X'] + os.getcwd())"
    result = CliRunner().invoke(
        runner,
        [
            "conformance",
            "--cmd",
            shlex.join([sys.executable, "-c", code]),
            "--env",
            "X=a=b",
            "--cwd",
            str(tmp_path),
        ],
    )
    assert f"a=b{tmp_path}" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--check", "nothing"], "no check named 'nothing'; there are starts, hello"),
        (["--check", "stdin-end"], "stdin-end cannot be tried over unix; add --transport stdio"),
        (["--transport", "tcp", "--check", "echo", "--check", "stdin-end"], "cannot be tried over tcp"),
        (["--transport", "stdio", "--check", "second"], "add --transport tcp or unix"),
        (["--env", "X"], "expected NAME=VALUE"),
        (["--cmd", ""], "expected a program"),
        (["--cmd", "'"], "quote it as for a shell"),
        (["--transport", "pigeon"], "pigeon"),
        (["--timeout", "0"], "0"),
    ],
)
def test_wrong_usage_has_exit_code_2(arguments: list[str], text: str) -> None:
    """And says what was expected."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert text in result.output
