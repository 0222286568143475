"""``rrq runner conformance``: put any runner command through the checks."""

import asyncio
import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rrq_orchestrator.commands.exits import ExitCode

if TYPE_CHECKING:
    from rrq_orchestrator.conformance import Bench, Check, Outcome

__all__ = ["conformance", "runner"]


@click.group("runner")
def runner() -> None:
    """Serve Python handlers, and try runners of any language."""


@runner.command()
@click.option(
    "--cmd", "text", metavar="COMMAND", required=True, help="Starts the runner; quoted as for a shell."
)
@click.option(
    "--transport",
    "kind",
    type=click.Choice(["unix", "tcp", "stdio"]),
    default="unix",
    show_default=True,
    help="How to talk to it.",
)
@click.option("--check", "names", metavar="NAME", multiple=True, help="Try only this; may be repeated.")
@click.option(
    "--cwd", metavar="FOLDER", type=click.Path(exists=True, file_okay=False), help="Where it works."
)
@click.option(
    "--env", "pairs", metavar="NAME=VALUE", multiple=True, help="A variable for it; may be repeated."
)
@click.option(
    "--timeout",
    "patience_s",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=20.0,
    show_default=True,
    help="Longest wait for a start or an answer.",
)
@click.option(
    "--grace",
    "grace_s",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Time it gets to end after SIGTERM.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def conformance(
    text: str,
    kind: Any,
    names: Sequence[str],
    cwd: str | None,
    pairs: Sequence[str],
    patience_s: float,
    grace_s: float,
    as_json: bool,
) -> None:
    """Try whether a program is a runner: talk to it as an orchestrator does, and more rudely.

    The program has to offer five handlers: echo, fail, retry, sleep and crash, as docs/write-a-runner.md
    says. It is started with the address at its end, several times, and never meets Redis.
    What only should be is noted where it is not, and is no failure.

    Exit codes: 0 conforms, 1 does not, 2 wrong usage.

    JSON: {"conforms", "command", "transport", "checks": [{"name", "requirement", "level", "result", "detail",
    "sent": {"hex", "text"}, "received": {…}, "output"}]}, the last three where something was found.
    """
    from rrq_orchestrator.conformance import Bench, conforms
    from rrq_orchestrator.conformance.show import as_json as document
    from rrq_orchestrator.conformance.show import head

    command, checks = _command(text), _chosen(names, kind)
    bench = Bench(command, kind, patience_s=patience_s, grace_s=grace_s, cwd=cwd, env=_environment(pairs))
    if not as_json:
        click.echo(head())
    outcomes = asyncio.run(_try(bench, checks, quiet=as_json))
    if as_json:
        said = json.dumps(document(command, kind, outcomes), indent=2)
        # DEL is ASCII, and drives terminals all the same.
        click.echo(said.replace("\x7f", "\\u007f"))
    if not conforms(outcomes):
        raise click.exceptions.Exit(int(ExitCode.UNEXPECTED))


async def _try(bench: "Bench", checks: "Sequence[Check]", *, quiet: bool) -> "list[Outcome]":
    from rrq_orchestrator.conformance import run_checks
    from rrq_orchestrator.conformance.show import row, summary

    outcomes = []
    try:
        async for outcome in run_checks(bench, checks):
            outcomes.append(outcome)
            if not quiet:
                click.echo("\n".join(row(outcome)))
    finally:
        await bench.close()
    if not quiet:
        click.echo(summary(outcomes))
    return outcomes


def _command(text: str) -> list[str]:
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; quote it as for a shell", param_hint="--cmd") from error
    if not command or not command[0] or "\0" in text:
        raise click.BadParameter("expected a program and its arguments", param_hint="--cmd")
    return command


def _chosen(names: Sequence[str], kind: str) -> "Sequence[Check]":
    from rrq_orchestrator.conformance import CHECKS

    known = {check.name: check for check in CHECKS}
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(
            f"no check named {unknown[0]!r}; there are {', '.join(known)}", param_hint="--check"
        )
    chosen = [known[name] for name in known if name in names]
    for check in chosen:
        if kind not in check.transports:
            others = " or ".join(sorted(check.transports))
            raise click.BadParameter(
                f"{check.name} cannot be tried over {kind}; add --transport {others}, or leave it out",
                param_hint="--check",
            )
    return chosen if names else CHECKS


def _environment(pairs: Sequence[str]) -> dict[str, str]:
    environment = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not name or not separator or "\0" in pair:
            raise click.BadParameter(f"expected NAME=VALUE, got {pair!r}", param_hint="--env")
        environment[name] = value
    return environment
