"""The units in deploy/systemd fit what the processes do."""

import os
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from rrq_protocol import JobStatus, Keyspace, load_settings
from support.graces import DRAIN_S
from support.redis_servers import RedisServer
from support.road import Road

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
_KEEPS_OTHERS_OUT = (
    "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome", "ProtectKernelModules",
    "RestrictNamespaces",
)  # fmt: skip


def _unit(path: Path) -> ConfigParser:
    unit = ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    return unit


def test_there_are_units() -> None:
    """One for orchestrators, one for runners that are started apart."""
    assert [path.name for path in UNITS] == ["rrq-orchestrator.service", "rrq-runner@.service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_stopping(path: Path) -> None:
    """Only the process itself is told, which ends the others; nobody kills it before it is done."""
    service = _unit(path)["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= DRAIN_S
    assert service["Restart"] == "always"
    # Wrong usage and wrong settings, which no restart mends; 3, a forced stop, is no reason to stay away.
    assert service["RestartPreventExitStatus"].split() == ["2", "78"]
    assert service["Type"] == "exec", "nothing here tells systemd that it is ready"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_confinement(path: Path) -> None:
    """No rights beyond a user's, and the system is read-only."""
    service = _unit(path)["Service"]
    assert all(service[key] == "yes" for key in _KEEPS_OTHERS_OUT)
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    # Runners are spoken to by sockets of either kind.
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(service["RestrictAddressFamilies"].split())


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_commands_understand_their_options(path: Path) -> None:
    """Every option in ExecStart is one of the command."""
    program, *arguments = _unit(path)["Service"]["ExecStart"].split()
    command = Path(sys.executable).with_name(Path(program).name)
    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    options = [word for word in arguments if word.startswith("--")]
    assert options
    assert all(option in said for option in options)


def test_a_runner_listens_where_its_settings_say(tmp_path: Path) -> None:
    """The settings that the unit shows lead to its socket, in a folder that only its user can enter."""
    path = FOLDER / "rrq-runner@.service"
    shown = [
        line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#   ")
    ]
    (tmp_path / "rrq.toml").write_text("\n".join(shown[1:]))
    runner = load_settings(
        tmp_path / "rrq.toml", environ={"RRQ_REDIS_DSN": "redis://h"}, cwd=tmp_path
    ).runners["python"]
    service = _unit(path)["Service"]
    assert service["ExecStart"].split()[-1] == f"{runner.socket_dir}/python-%i.sock"
    assert runner.socket_dir == f"/run/{service['RuntimeDirectory']}"
    assert service["RuntimeDirectoryMode"] == "0700"


def test_it_drains_and_survives_its_child(redis_server: RedisServer, keyspace: Keyspace) -> None:
    """What ExecStart runs: a killed orchestrator's job is given back at once and run by the next one; SIGTERM
    to the main process alone lets it end.
    """
    _, *arguments = _unit(FOLDER / "rrq-orchestrator.service")["Service"]["ExecStart"].split()
    at = arguments.index("--config")
    with Road(redis_server.url, keyspace) as road:
        # Longer than the test: only the parent can know so soon.
        road.configure(lease_seconds=300, worker_shutdown_grace_period_seconds=60)
        with road.start(*arguments[:at], *arguments[at + 2 :]) as main:
            road.ready(main)
            job = road.producer.enqueue("hold", {"gate": "gate"})
            road.seen(1, job.id)
            (first,) = main.named("orchestrator.registered")
            os.kill(int(str(first["orchestrator"]).split("_")[-2]), signal.SIGKILL)
            road.seen(2, job.id)
            main.kill(signal.SIGTERM)
            main.wait_for("orchestrator.stopping")
            road.open()
            assert main.code() == 0, main.lines
        assert road.result(job.id).status is JobStatus.COMPLETED
        road.assert_nothing_left()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_them(path: Path, tmp_path: Path) -> None:
    """Where systemd is, it finds nothing wrong."""
    if (analyze := shutil.which("systemd-analyze")) is None:
        return  # a machine without systemd runs no unit
    unit = tmp_path / path.name.replace("@.", "@0.")
    here = str(Path(sys.executable).parent)
    unit.write_text(path.read_text().replace("/opt/rrq/bin", here))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    about = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert about == []
    assert done.returncode == 0, done.stderr
