"""Environments apart from that of the tests, for what must not be in it. They are removed at the end.

Making one takes packages from a registry, so only a strict run does (``RRQ_TEST_STRICT=1``).
"""

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from support.redis_choice import STRICT
from support.rules import ROOT

__all__ = ["environment", "strict_only"]


def strict_only(what: str) -> None:
    """Skip this test, or this module if it is just being read, unless environments may be made."""
    if not STRICT:
        # It takes a network and half a minute. A strict run, as CI makes, makes it.
        reason = f"{what} is tried in an environment of its own; RRQ_TEST_STRICT=1 makes it"
        pytest.skip(reason, allow_module_level=True)


def environment(what: str, requirements: Sequence[str], *, lowest: bool = False) -> str:
    """Return the interpreter of a new environment, which is made once; skip the test where that is not asked
    for.

    Args:
        what: What it is for, in a few words.
        requirements: Arguments for ``uv pip install``.
        lowest: Install the lowest versions that are allowed; else those that are pinned.
    """
    strict_only(what)
    return str(_made(tuple(requirements), lowest) / "bin" / "python")


@cache
def _made(requirements: tuple[str, ...], lowest: bool) -> Path:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else "uv"
    home = Path(tempfile.mkdtemp(prefix="rrq-environment-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    chosen = ["--no-config", "--resolution", "lowest-direct"] if lowest else []
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
    _run(uv, "pip", "install", "--quiet", *chosen, "--python", f"{home}/bin/python", *requirements)
    return home


def _run(*command: str) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
