"""Exit codes (RELIABILITY.md 6.8), and how a person hears of a mistake: one message, never a traceback."""

import contextlib
import json
from collections.abc import Iterator
from enum import IntEnum
from typing import NoReturn

import click

__all__ = ["ExitCode", "explained", "fail"]


class ExitCode(IntEnum):
    """What a process ends with."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    FORCED = 3
    CONFIGURATION = 78


def fail(message: str, code: int) -> NoReturn:
    """Say ``message`` on standard error, with ``--json`` as a document on standard output too, and end the
    command.

    Raises:
        click.exceptions.Exit: Always.
    """
    from rrq_orchestrator.log_text import escape

    click.echo("\n".join(escape(line) for line in f"rrq: {message}".splitlines()), err=True)
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.params.get("as_json"):
        text = json.dumps({"error": message, "exit_code": int(code)}, indent=2)
        click.echo(text.replace("\x7f", "\\u007f"))  # the one control character that json leaves as it is
    raise click.exceptions.Exit(int(code))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn the errors that people can correct into a message and an exit code.

    Raises:
        click.exceptions.Exit: For such an error. Any other passes.
    """
    from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
    from rrq_orchestrator.errors import RedisRefused
    from rrq_protocol import SettingsError

    try:
        yield
    except SettingsError as error:
        count = len(error.problems)
        head = "the settings have a problem:" if count == 1 else f"the settings have {count} problems:"
        fail("\n".join([head, *(f"  {problem}" for problem in error.problems)]), ExitCode.CONFIGURATION)
    except (EmbeddedSetupError, RedisRefused) as error:
        fail(str(error), ExitCode.CONFIGURATION)
    except EmbeddedServerError as error:
        fail(str(error), ExitCode.UNEXPECTED)
