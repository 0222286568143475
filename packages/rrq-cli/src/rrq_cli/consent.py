"""Asking before something is deleted: a person is asked, a program has to say ``--yes``."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rrq_cli.exits import UsageProblem
from rrq_cli.text import escape

__all__ = ["require_consent", "require_target", "yes_option"]

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


def require_target(what: str, target: str | None, *, given: str | None, as_json: bool) -> None:
    """Return where the server that is not on this machine was named (RELIABILITY.md S26).

    Args:
        what: The deed and its extent.
        target: Host, port and database of the server; None for one on this machine.
        given: What was given as ``--target``.
        as_json: Whether a program reads the answer; it is never asked.

    Raises:
        UsageProblem: Another server was named, or none and nobody is there to be asked.
        click.Abort: Another one was typed.
    """
    if target is None or given == target:
        return
    if given is not None:
        raise UsageProblem(f"--target: this is {target}, got {given}; nothing was done")
    if as_json or not sys.stdin.isatty():
        raise UsageProblem(
            f"this would {what} at {target}, which is not on this machine: name it, with --target {target}"
        )
    typed = click.prompt(f"{escape(target)} is not on this machine. Type its name to go on", err=True)
    if typed.strip() != target:
        raise click.Abort
