"""`rrq completion`, and what Tab gets."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import World


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(world: World, shell: str) -> None:
    """The script asks rrq in the shell's own way, and is JSON when asked."""
    answer = world.rrq("completion", shell)
    assert (answer.code, f"_RRQ_COMPLETE={shell}_complete" in answer.out) == (0, True)
    assert world.rrq("completion", shell, "--json").json == {"shell": shell, "script": answer.out[:-1]}
    assert world.rrq("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [("rrq qu", "plain,queue"), ("rrq queue pa", "plain,pause"), ("rrq worker dr", "plain,drain")],
)
def test_the_words_of_commands_are_offered(world: World, line: str, expected: str) -> None:
    """What the scripts ask for is answered, without a Redis."""
    world.environment |= {
        "_RRQ_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")),
        "RRQ_REDIS_DSN": "redis://127.0.0.1:1",
    }  # fmt: skip
    # The shell starts it as rrq; a module's name would be another one.
    program = "from rrq_cli.main import main; main()"
    answer = world.process(command=(sys.executable, "-c", program))
    assert (answer.code, answer.out.split()) == (0, [expected])


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_takes_its_script(world: World, tmp_path: Path) -> None:
    """The script is one that bash runs; afterwards Tab is bound."""
    script = tmp_path / "rrq.bash"
    script.write_text(world.rrq("completion", "bash").out)
    done = subprocess.run(
        ["bash", "--norc", "-c", f". '{script}' && complete -p rrq"],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "_rrq_completion rrq" in done.stdout, done.stderr
