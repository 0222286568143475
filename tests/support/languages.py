"""The runners of examples/, one per language: what builds them, how they start, and what they cannot do.

What has to be built goes to `RRQ_TEST_BUILDS`, or below .venv, where it serves the next run too.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.rules import ROOT

__all__ = ["LANGUAGES", "Language", "Unbuilt", "built", "enqueue_script"]

BUILDS = Path(os.environ.get("RRQ_TEST_BUILDS") or ROOT / ".venv" / "examples")
BUILD_WITHIN_S = 600


class Unbuilt(Exception):
    """This machine cannot build the example; the text says why, in one line."""


@dataclass(frozen=True)
class Language:
    """One example.

    Attributes:
        tools: Programs that must be there.
        build: Builds it and returns the command that starts the runner.
        kinds: Transports it offers.
        known: What the checks find, and why it stays: checks by name. Documented in docs/conformance.md.
        producer: Returns the command that enqueues the jobs on its stdin, where the example has one.
    """

    name: str
    tools: tuple[str, ...]
    build: Callable[[Path], list[str]]
    kinds: tuple[str, ...]
    known: frozenset[str] = frozenset()
    producer: Callable[[Path], list[str]] | None = None

    @property
    def folder(self) -> Path:
        """Where it is."""
        return ROOT / "examples" / self.name


def _node(folder: Path) -> list[str]:
    return ["node", str(folder / "handlers.mjs")]


def _node_producer(folder: Path) -> list[str]:
    return ["node", str(folder / "enqueue.mjs")]


def _go(folder: Path) -> list[str]:
    _make(["go", "build", "-o", str(BUILDS / "go-handlers"), "."], folder)
    return [str(BUILDS / "go-handlers")]


def _go_producer(folder: Path) -> list[str]:
    _make(["go", "build", "-o", str(BUILDS / "go-enqueue"), "./enqueue"], folder)
    return [str(BUILDS / "go-enqueue")]


def _rust(folder: Path) -> list[str]:
    _make(["cargo", "build", "--quiet"], folder, CARGO_TARGET_DIR=str(BUILDS / "rust"))
    return [str(BUILDS / "rust" / "debug" / "rrq-example-rust")]


def _python(folder: Path) -> list[str]:
    return [sys.executable, "-m", "rrq_runner", "--settings", "handlers:settings"]


LANGUAGES = {
    each.name: each
    for each in (
        Language("python", (), _python, ("unix", "tcp", "stdio")),
        Language("node", ("node",), _node, ("unix", "tcp", "stdio"), producer=_node_producer),
        Language("go", ("go",), _go, ("unix", "tcp", "stdio"), producer=_go_producer),
        Language("rust", ("cargo",), _rust, ("tcp",), frozenset({"cancel-foreign", "drain", "nonce"})),
    )
}


def built(name: str) -> list[str]:
    """Build an example, once, and return the command that starts its runner.

    Raises:
        Unbuilt: It cannot be built here.
    """
    found = _built(name)
    if isinstance(found, Unbuilt):
        raise found
    return found


@cache
def _built(name: str) -> "list[str] | Unbuilt":
    language = LANGUAGES[name]
    for tool in language.tools:
        if shutil.which(tool) is None:
            return Unbuilt(f"{name}: no {tool} on PATH")
    try:
        return language.build(language.folder)
    except Unbuilt as error:
        return error


def main() -> None:
    """Build all examples; say what cannot be built, and fail then: ``python -m support.languages``."""
    problems = [found for name in LANGUAGES if isinstance(found := _built(name), Unbuilt)]
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


def _make(command: Sequence[str], folder: Path, **env: str) -> None:
    BUILDS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_WITHIN_S,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["nothing said"]
        raise Unbuilt(f"{folder.name}: {shlex.join(command)} failed: {last[0][:200]}")


def enqueue_script() -> str:
    """Return the script that the producers of examples/ send, as a file, made anew."""
    from rrq_protocol import script_source

    BUILDS.mkdir(parents=True, exist_ok=True)
    path = BUILDS / "enqueue.lua"
    path.write_text(script_source("enqueue"), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
