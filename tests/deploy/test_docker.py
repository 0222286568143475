"""The images in deploy/docker: read always; built where RRQ_TEST_PYTHON_IMAGE names a local Python image
(.ci/python-image makes one).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rrq_protocol import Keyspace
from support.graces import DRAIN_S
from support.redis_choice import STRICT

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "docker"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.Dockerfile"))}
WHEELS = {"orchestrator": ["protocol", "orchestrator", "runner", "cli"], "runner": ["protocol", "runner"]}
WHEELS["cli"] = ["protocol", "orchestrator", "cli"]
COMMANDS = {"orchestrator": "rrq-orchestrator", "runner": "rrq-runner", "cli": "rrq"}
every_image = pytest.mark.parametrize("name", sorted(COMMANDS))


def _steps(name: str) -> list[tuple[str, str]]:
    text = FILES[name].read_text().replace("\\\n", " ")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(line.partition(" ")[0], " ".join(line.partition(" ")[2].split())) for line in lines]


def test_one_image_per_process() -> None:
    """There is a file for each process there is."""
    assert set(FILES) == set(COMMANDS)


@every_image
def test_the_base_can_be_chosen(name: str) -> None:
    """Every stage starts from the image that is given."""
    steps = _steps(name)
    assert steps[0] == ("ARG", "PYTHON_IMAGE=python:3.13-slim")
    bases = [rest.partition(" ")[0] for step, rest in steps if step == "FROM"]
    assert bases == ["${PYTHON_IMAGE}"] * 2


@every_image
def test_our_wheels_come_from_here(name: str) -> None:
    """They are named by their files: nobody else's package of the same name can take their place."""
    (install,) = (rest for step, rest in _steps(name) if step == "RUN")
    files = [word for word in install.split() if word.startswith("/wheels/")]
    assert files == [f"/wheels/rrq_{wheel}-*.whl" for wheel in WHEELS[name]]


@every_image
def test_how_it_runs(name: str) -> None:
    """As nobody in particular, as the process itself (a shell would keep SIGTERM), with the right command."""
    steps = dict(_steps(name))
    assert steps["USER"] == "10001:10001"
    assert steps["ENTRYPOINT"].startswith(f'["{COMMANDS[name]}"')
    assert steps["STOPSIGNAL"] == "SIGTERM"


def test_the_engine_is_told_to_wait() -> None:
    """The stop timeout in the comment fits the defaults."""
    words = FILES["orchestrator"].read_text().split()
    assert int(words[words.index("--stop-timeout") + 1].rstrip(".")) >= DRAIN_S


BASE = os.environ.get("RRQ_TEST_PYTHON_IMAGE")
CONFINED = ["--read-only", "--cap-drop", "ALL"]
HANDLERS = """
from rrq_runner import Registry

registry = Registry()


@registry.handler
def resize(width: int) -> dict[str, object]:
    import os

    return {"width": width * 2, "user": os.getuid()}
"""


def _builder() -> tuple[str, dict[str, str]]:
    """Return a client of the engine and what it needs in its environment to build with BuildKit, which copies
    only what changes and keeps what two images share; any client where there is no such."""
    found = [
        str(Path(folder) / "docker")
        for folder in os.get_exec_path()
        if os.access(Path(folder) / "docker", os.X_OK)
    ]
    for client in found:
        if subprocess.run([client, "buildx", "version"], capture_output=True, check=False).returncode == 0:
            return client, {}
        # Until 23 it could do it by itself, when asked to.
        version = subprocess.run([client, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.split()[2].partition(".")[0]) < 23:
            return client, {"DOCKER_BUILDKIT": "1"}
    return found[0], {}


def _build(name: str, context: Path) -> str:
    """Build one image and return its tag."""
    client, environment = _builder()
    tag = f"rrq-test-{name}:local"
    arguments = [f"PYTHON_IMAGE={BASE}", "PIP_OPTIONS=--no-index --find-links /wheels"]
    command = [client, "build", "-q", "-f", str(FILES[name]), "-t", tag]
    command += [word for argument in arguments for word in ("--build-arg", argument)]
    done = subprocess.run(
        [*command, str(context)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return tag


def _docker(*words: str) -> str:
    """Run a command of the engine's client to its end; return what it printed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


if BASE:

    @pytest.fixture(scope="module")
    def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
        """Build all images, side by side, and return their tags. Takes half a minute: an image is made of
        files.

        All wheels are in the folder they are built in, so that a build needs no network.
        """
        folder = tmp_path_factory.mktemp("context")
        wheels = folder / "dist"
        shutil.copytree(ROOT / "dist", wheels)
        ours = [str(path) for path in wheels.glob("*.whl")]
        download = [sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *ours]
        subprocess.run(download, check=True, timeout=300)
        with ThreadPoolExecutor() as threads:
            return dict(zip(COMMANDS, threads.map(lambda name: _build(name, folder), COMMANDS), strict=True))

    @every_image
    def test_its_command_runs(name: str, images: dict[str, str]) -> None:
        """Without root, rights, a network and a place to write."""
        printed = _docker("run", "--rm", *CONFINED, "--network", "none", images[name], "--version")
        assert "rrq-" in printed

    def test_settings_from_variables_alone(images: dict[str, str]) -> None:
        """An orchestrator needs no file."""
        given = [
            "-e",
            "RRQ_REDIS_DSN=redis://127.0.0.1:6379",
            "-e",
            "RRQ_RUNNERS__PYTHON__APP=handlers:registry",
        ]
        look = ["--entrypoint", "rrq", images["orchestrator"], "config", "check", "--json"]
        assert (
            json.loads(_docker("run", "--rm", *CONFINED, "--network", "none", *given, *look))["problems"]
            == []
        )

    def test_pip_installs_beside_rrq(images: dict[str, str]) -> None:
        """What an image on top installs with pip goes where the handlers are found."""
        # Not the environment's own interpreter, which has no pip.
        pip = ["--entrypoint", "/usr/bin/python", images["runner"], "-m", "pip", "list", "--format", "freeze"]
        assert "rrq-runner==" in _docker("run", "--rm", "--network", "none", *pip)

    def test_a_job_goes_through_them(
        images: dict[str, str], redis_url: str, keyspace: Keyspace, tmp_path: Path
    ) -> None:
        """Orchestrator, runner and command each in a container of its own: the job comes back, the health
        check of the image is content, and both stop in order when the engine asks them to."""
        tmp_path.chmod(0o755)
        (tmp_path / "handlers.py").write_text(HANDLERS)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        runner = {"mode": "external", "tcp_socket": address, "max_in_flight": 2}
        (tmp_path / "rrq.toml").write_text(
            f'[rrq]\nredis_dsn = "{redis_url}"\nkey_prefix = "{keyspace.prefix}"\n[rrq.runners.python]\n'
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in runner.items())
        )
        settings = ["-v", f"{tmp_path}/rrq.toml:/app/rrq.toml:ro"]
        host = [*CONFINED, "--network", "host"]
        started: list[str] = []
        try:
            serve = ["-e", f"RRQ_RUNNER_TCP_SOCKET={address}", "-e", "RRQ_RUNNER_SETTINGS=handlers:registry"]
            serve += ["-v", f"{tmp_path}/handlers.py:/app/handlers.py:ro"]
            started.append(_docker("run", "-d", *host, *serve, images["runner"]).strip())
            started.append(_docker("run", "-d", *host, *settings, images["orchestrator"]).strip())
            submit = [*settings, images["cli"], "debug", "submit", "resize", "--param", "width=21"]
            answer = _docker("run", "--rm", *host, *submit, "--wait", "--wait-timeout", "60", "--json")
            assert json.loads(answer)["result"] == {"width": 42, "user": 10001}
            _docker("exec", started[1], "rrq", "check")
            for each in reversed(started):
                _docker("stop", "--time", "45", each)
                assert _docker("inspect", "-f", "{{.State.ExitCode}}", each).strip() == "0"
        finally:
            for each in started:
                print(subprocess.run(["docker", "logs", each], capture_output=True, text=True, check=False))
                subprocess.run(["docker", "rm", "-f", each], capture_output=True, check=False)

elif STRICT:

    def test_the_images_are_built() -> None:
        """A strict run builds them."""
        pytest.fail(
            "RRQ_TEST_STRICT is set, and RRQ_TEST_PYTHON_IMAGE names no image (.ci/python-image makes one)"
        )
