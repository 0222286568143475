"""Commands to copy: whatever this command line was given to find its Redis, they are given too.

What stands in the environment is not repeated: whoever copies a command pastes it into the same shell. A
secret is never printed.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence

import click

from rrq_cli.params import GlobalOptions, options_of

__all__ = ["after_dashes", "command", "completed", "remark"]

_VARIABLE = "RRQ_REDIS_DSN"
_in_backticks = re.compile(r"`rrq (?=[a-z])")


def command(*words: str) -> str:
    """Return ``rrq …`` with the options of the running command, quoted for a shell.

    A last word that begins with one ``-`` and is no option's value is an id, so it comes after ``--``.
    """
    head, last = words[:-1], words[-1]
    if last.startswith("-") and not last.startswith("--") and not (head and head[-1].startswith("-")):
        head = (*head, "--")
    return shlex.join(["rrq", *_repeated(_current()), *head, last])


def after_dashes(error: click.NoSuchOption, args: Sequence[str]) -> str:
    """Return what to add to the complaint about an unknown option that may be an id: how that is given."""
    ctx = error.ctx
    if ctx is None or error.option_name.startswith("--"):
        return ""
    if not any(isinstance(each, click.Argument) for each in ctx.command.params):
        return ""
    meant = next((each for each in args if each.startswith(error.option_name)), error.option_name)
    whole = shlex.join([*ctx.command_path.split(), "--", meant])
    return f"\nWhat begins with - and is no option comes after --, as in: {whole}"


def remark() -> str:
    """Return what has to be said beside such commands where one option cannot be repeated; else nothing."""
    return _remark(_current())


def completed(text: str, options: GlobalOptions) -> str:
    """Return a message with the options put into the commands that stand in backticks in it."""
    given = shlex.join(_repeated(options))
    if _in_backticks.search(text) is None:
        return text
    whole = _in_backticks.sub(lambda _: f"`rrq {given} " if given else "`rrq ", text)
    return whole + _remark(options)


def _current() -> GlobalOptions:
    ctx = click.get_current_context(silent=True)
    return GlobalOptions() if ctx is None else options_of(ctx)


def _repeated(options: GlobalOptions) -> Iterator[str]:
    if options.config is not None:
        yield from ("--config", options.config)
    if options.redis_dsn is not None and not _is_secret(options.redis_dsn):
        yield from ("--redis-dsn", options.redis_dsn)
    if options.prefix is not None:
        yield from ("--prefix", options.prefix)


def _remark(options: GlobalOptions) -> str:
    dsn = options.redis_dsn
    if dsn is None or not _is_secret(dsn) or os.environ.get(_VARIABLE) == dsn:
        return ""
    return f" (set {_VARIABLE} first: the URL given here holds a secret, which is not printed)"


def _is_secret(dsn: str) -> bool:
    """Whether a URL holds a password, or may: nothing is told apart in what is no URL of the usual form."""
    from rrq_protocol import Secret

    return Secret(dsn).masked() != dsn
