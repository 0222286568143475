"""The command as a process: it ends with the right code, quietly, whenever it is interrupted."""

import signal
import subprocess
import sys

import pytest

from rrq_cli.main import main
from support.cli import World


def test_main_ends_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code of the command is that of the process."""
    for args, code in ((["--version"], 0), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code == code
    monkeypatch.setattr("sys.argv", ["rrq", "nonsense"])
    with pytest.raises(SystemExit):
        main()


def test_ctrl_c_while_modules_load_is_quiet(world: World) -> None:
    """An interrupt that arrives before the command line is even read shows no traceback."""
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    code = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'click': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from rrq_cli.main import main\n"
        "main(['--help'])\n"
    )
    answer = world.process(command=(sys.executable, "-c", code))
    assert (answer.code, answer.out, answer.err) == (130, "", "")


def test_a_full_disk_is_told(world: World) -> None:
    """Output that cannot be written is a failure with a reason."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "rrq_cli", "--version"],
            env=world.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"rrq: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_130_and_quiet(world: World, name: signal.Signals) -> None:
    """A wait that is interrupted ends with 130 and without a traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "rrq_cli", "debug", "submit", "work", "--job-id", "late", "--wait"],
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        world.wait_for_subscriber("late")
        process.send_signal(name)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
