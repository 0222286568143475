"""`rrq completion`, and what Tab gets."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import World
from support.redis_choice import STRICT
from support.terminal import Terminal


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


# Gives the shell the terminal, without which none is interactive, and becomes it.
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
# What its users have in the files that it reads at its start, with the script where the help says.
SET_UP = {
    "bash": "bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; . ./rrq.bash",
    "zsh": "fpath+=$PWD; autoload -Uz compinit; compinit -D",
    "fish": "source rrq.fish",
}
FILES = {"bash": "rrq.bash", "zsh": "_rrq", "fish": "rrq.fish"}


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[Terminal]:
    """Serve a shell on a terminal, with its script as its users install it, and ``rrq`` on its path."""
    name: str = request.param
    if shutil.which(name) is None:
        if STRICT:
            pytest.fail(f"RRQ_TEST_STRICT is set, and {name} is not installed")
        # CI installs all three; elsewhere a test is of the shells there are.
        pytest.skip(f"{name} is not installed")
    (tmp_path / FILES[name]).write_text(world.rrq("completion", name).out)
    command = tmp_path / "bin" / "rrq"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom rrq_cli.main import main\n\nmain()\n")
    command.chmod(0o755)
    environment = {
        **world.environment,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PS1": "> ",
    }
    program = [sys.executable, "-c", TAKE_TERMINAL, *SHELLS[name]]
    with Terminal((), environment, tmp_path, (50, 200), program=program) as terminal:
        # Shown by the shell alone, for what is typed has the word in two parts.
        terminal.type(f"{SET_UP[name]}; echo rea''dy\r")
        terminal.wait_for("ready")
        yield terminal


@pytest.mark.slow
def test_tab_in_a_shell(shell: Terminal, world: World) -> None:
    """The only word that fits is put into the line, a command, an option or a name, at each Tab; where
    several words fit they are listed. Slow: every Tab starts a process, and one shell is like another on each
    Python."""
    world.enqueue(queue_name="media")
    for typed, whole in (
        ("rrq comple", "rrq completion "),
        ("rrq dlq requeue --dry", "rrq dlq requeue --dry-run "),
    ):
        shell.type(f"\x15{typed}\t")
        shell.wait_for(whole)
    # Names are Redis's to tell, and it is not waited for long: on a busy machine Tab is pressed again.
    for _ in range(20):
        shell.type("\x15rrq queue pause med\t")
        if shell.shows("rrq queue pause media ", within_s=6):
            break
    else:
        pytest.fail("Tab never gave the name of the queue")
    shell.type("\x15rrq cron \t\t")
    shell.wait_for("list")
    shell.wait_for("trigger")
