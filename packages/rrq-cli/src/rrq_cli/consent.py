"""Asking before something is deleted: a person is asked, a program has to say ``--yes``."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rrq_cli.exits import UsageProblem
from rrq_cli.text import escape

__all__ = ["require_consent", "yes_option"]

F = TypeVar("F", bound=Callable[..., Any])


def yes_option(command: F) -> F:
    """Declare ``--yes``."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def require_consent(what: str, *, yes: bool, as_json: bool) -> None:
    """Return where the deed is wanted.

    Args:
        what: The deed and its extent, as in ``delete 12 waiting jobs of queue media``.
        yes: Whether ``--yes`` was given.
        as_json: Whether a program reads the answer; it is never asked.

    Raises:
        UsageProblem: Nobody is there to be asked.
        click.Abort: The answer was no.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageProblem(f"this would {what}, which cannot be undone: say so with --yes")
    click.confirm(f"{escape(what[0].upper() + what[1:])}? This cannot be undone.", abort=True, err=True)
