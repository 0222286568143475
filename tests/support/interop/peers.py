"""Getting the public line: its wheel in the benchmarks' environment for it, its crates built by cargo."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from support.redis_choice import STRICT

__all__ = ["VERSION", "Peers", "Unavailable", "crates", "find_cargo", "wanted", "wheel"]

VERSION = "0.11.1"
ROOT = Path(__file__).resolve().parents[3]
OLDEST_CARGO = (1, 88)
INSTALLED_WITHIN_S = 300.0
BUILT_WITHIN_S = 900.0


class Unavailable(Exception):
    """The public line cannot be had here; the text says why."""


@dataclass(frozen=True)
class Peers:
    """Where the public line is.

    Attributes:
        commands: Folder of the wheel's commands.
        building: Yields the program made of the crates; None where no test needs it.
    """

    commands: Path
    building: "Future[Path] | None" = None

    @property
    def program(self) -> Path:
        """The program made of the crates; waits until it is built."""
        assert self.building is not None
        return self.building.result(BUILT_WITHIN_S)


def wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the tests against the public line are to run: when asked for, and in CI."""
    return STRICT or environ.get("RRQ_TEST_INTEROP", "") not in {"", "0"}


def wheel() -> Path:
    """Return the folder of the commands of the public wheel, installed into an environment of its own.

    Raises:
        Unavailable: It could not be installed.
    """
    asking = f"from benchmarks.systems.public import install; print(install('rrq=={VERSION}'))"
    done = subprocess.run(
        [sys.executable, "-c", asking],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALLED_WITHIN_S,
    )
    answer = done.stdout.strip()
    if done.returncode != 0 or not Path(answer, "rrq").exists():
        raise Unavailable(answer or done.stderr.strip()[-500:])
    return Path(answer)


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rrq-interop", VERSION)


def find_cargo() -> str:
    """Return the path of a cargo that can build the crates.

    Raises:
        Unavailable: There is none; or the first build, which takes minutes, was not asked for by name.
    """
    if (
        os.environ.get("RRQ_TEST_INTEROP", "") in {"", "0"}
        and not (_home() / "target/debug/interop").exists()
    ):
        raise Unavailable("the public crates are not built yet; RRQ_TEST_INTEROP=1 builds them")
    cargo = shutil.which("cargo")
    told = _run([cargo, "--version"]).strip() if cargo else ""
    version = re.search(r"(\d+)\.(\d+)", told)
    if cargo is None or version is None or tuple(map(int, version.groups())) < OLDEST_CARGO:
        needed = ".".join(map(str, OLDEST_CARGO))
        raise Unavailable(f"expected cargo {needed} or newer, found {told or 'none'}")
    return cargo


def crates() -> Path:
    """Return the program made of the public crates, built if it is not there.

    Raises:
        Unavailable: There is no cargo that can build it, or it failed.
    """
    cargo = find_cargo()
    home = _home()
    # cargo writes its lock file beside the sources, so it gets a copy of them.
    source, target = home / "source", home / "target"
    shutil.copytree(ROOT / "tests" / "interop" / "rust", source, dirs_exist_ok=True)
    _run([cargo, "build", "--quiet"], cwd=source, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return target / "debug" / "interop"


def _run(command: list[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=BUILT_WITHIN_S
    )
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout
