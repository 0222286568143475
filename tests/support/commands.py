"""Commands called in this process."""

import inspect
from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner

__all__ = ["command_runner"]


def command_runner(environment: Mapping[str, str | None] | None = None) -> CliRunner:
    """Return a caller of commands that keeps standard output and standard error apart.

    Args:
        environment: Variables set for the command; None takes one away.
    """
    # Click 8.1 mixes them unless told; 8.2 never does, and no longer knows the word.
    apart: dict[str, Any] = (
        {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    )
    return CliRunner(env=environment, **apart)
