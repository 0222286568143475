"""The images in deploy/docker: read always; built where RRQ_TEST_PYTHON_IMAGE names a local Python image
(.ci/python-image makes one).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.graces import DRAIN_S

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


if "RRQ_TEST_PYTHON_IMAGE" in os.environ:

    @pytest.fixture(scope="module")
    def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Serve a folder to build in, with all wheels, so that a build needs no network."""
        folder = tmp_path_factory.mktemp("context")
        wheels = folder / "dist"
        shutil.copytree(ROOT / "dist", wheels)
        ours = [str(path) for path in wheels.glob("*.whl")]
        download = [sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *ours]
        subprocess.run(download, check=True, timeout=300)
        return folder

    @every_image
    def test_it_builds_and_runs(name: str, context: Path) -> None:
        """The image is made, and its command works in it without root, rights and a place to write.

        Takes a minute: an image is made of files.
        """
        tag = f"rrq-test-{name}:local"
        arguments = [f"PYTHON_IMAGE={os.environ['RRQ_TEST_PYTHON_IMAGE']}"]
        arguments.append("PIP_OPTIONS=--no-index --find-links /wheels")
        build = ["docker", "build", "-q", "-f", str(FILES[name]), "-t", tag]
        build += [word for argument in arguments for word in ("--build-arg", argument)]
        subprocess.run([*build, str(context)], check=True, timeout=600)
        confined = ["docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", tag]
        command = [*confined, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "rrq-" in done.stdout
