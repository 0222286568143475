"""``rrq doctor``: is the server fit, and does what it holds fit together? (RELIABILITY.md 2.3, 6.7)"""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.commands.options import config_option, load, redis_options

if TYPE_CHECKING:
    from rrq_orchestrator.audit import Finding, Level
    from rrq_orchestrator.examination import Diagnosis
    from rrq_protocol import Settings
    from rrq_protocol.settings import RedisTarget

__all__ = ["doctor"]

_SHOWN = 50


@click.command()
@config_option
@redis_options
@click.option("--repair", is_flag=True, help="Put right what can be, after a second look two leases later.")
@click.option(
    "--errors-only/--strict", help="Exit code 1 for errors alone; --strict, the default, counts warnings too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def doctor(
    config: str | None,
    redis_dsn: str | None,
    prefix: str | None,
    repair: bool,
    errors_only: bool,
    as_json: bool,
) -> None:
    """Check the server and every stored job; change nothing.

    The server: known flaws of its version, persistence, eviction, role, clock, rights. The keys: every
    invariant, looked at twice, so that jobs in motion are not reported. Looking at a million jobs takes a
    minute or two and does not hold the server up.

    Exit codes: 0 nothing found, 1 an error or a warning (with --errors-only an error), 2 wrong usage, 78
    wrong configuration.

    JSON: {"healthy", "redis", "server": [{"subject", "level", "text"}], "keys", "jobs", "findings": [{"rule",
    "level", "key", "job_id", "expected", "found", "status", "worker_id", "claim_seq", "repair"}], "left_out",
    "repairs": [{…, "outcome"}]}
    """
    from rrq_orchestrator.errors import RedisGone

    with explained():
        settings = load(config, {"redis_dsn": redis_dsn, "key_prefix": prefix})
        target = _redis_of(settings)
        address = target.display
        try:
            diagnosis = asyncio.run(_diagnose(settings, target, repair))
        except RedisGone as error:
            fail(str(error), ExitCode.UNEXPECTED)
    diagnosis = _in_order(diagnosis)
    healthy = _is_healthy(diagnosis, errors_only)
    _print(diagnosis, address, healthy) if not as_json else _print_json(diagnosis, address, healthy)
    if not healthy:
        raise click.exceptions.Exit(int(ExitCode.UNEXPECTED))


def _redis_of(settings: "Settings") -> "RedisTarget":
    from rrq_protocol.settings import resolve_redis

    target = resolve_redis(settings)
    if target.url is None:
        fail(target.problem or f"rrq.redis_dsn: cannot use {target.display}", ExitCode.CONFIGURATION)
    return target


async def _diagnose(settings: "Settings", target: "RedisTarget", repair: bool) -> "Diagnosis":
    import random

    import msgspec
    import structlog

    from rrq_orchestrator.examination import Examination
    from rrq_orchestrator.plan import audit_rules
    from rrq_orchestrator.reconciler import LEASES_APART
    from rrq_orchestrator.store import RedisLinks
    from rrq_protocol import Keyspace, SystemClock

    # What is wrong is the answer of this command, not an event beside it.
    quiet: Any = structlog.wrap_logger(None, processors=[_drop])
    links = RedisLinks(target, target.display, quiet, random.Random())
    try:
        link = links.make("doctor")
    except ValueError as error:
        fail(f"rrq.redis_dsn: {error} ({target.display})", ExitCode.CONFIGURATION)
    rules = msgspec.structs.replace(audit_rules(settings), conserved=True)
    examination = Examination(Keyspace(settings.key_prefix), link, rules, SystemClock(), sleep=_saying_so)
    apart_s = LEASES_APART * settings.lease_seconds if repair else None
    try:
        return await examination.diagnose(repair_after_s=apart_s)
    finally:
        await links.aclose()


def _drop(_: object, __: str, event: Any) -> Any:
    import structlog

    raise structlog.DropEvent


async def _saying_so(seconds: float) -> None:
    if seconds > 1:
        click.echo(
            f"rrq: something is wrong; looking again in {seconds:g} s, before it is repaired", err=True
        )
    await asyncio.sleep(seconds)


def _in_order(diagnosis: "Diagnosis") -> "Diagnosis":
    """Return it with the worst findings first, and those of one rule together, in any run."""
    import msgspec

    from rrq_orchestrator.audit import Level

    levels = list(Level)

    def place(finding: "Finding") -> tuple[int, str, str, str]:
        return levels.index(finding.level), finding.rule, finding.key, finding.job_id or ""

    return msgspec.structs.replace(diagnosis, findings=tuple(sorted(diagnosis.findings, key=place)))


def _is_healthy(diagnosis: "Diagnosis", errors_only: bool) -> bool:
    from rrq_orchestrator.audit import Level

    return diagnosis.worst() not in ({Level.ERROR} if errors_only else {Level.ERROR, Level.WARNING})


# For programs.


def _print_json(diagnosis: "Diagnosis", address: str, healthy: bool) -> None:
    document = {
        "healthy": healthy,
        "redis": address,
        "server": [
            {"subject": each.subject, "level": each.level.value, "text": each.text}
            for each in diagnosis.checks
        ],
        "keys": diagnosis.keys,
        "jobs": diagnosis.jobs,
        "findings": [_as_json(each) for each in diagnosis.findings],
        "left_out": diagnosis.left_out,
        "repairs": [{**_as_json(finding), "outcome": reply.value} for finding, reply in diagnosis.repairs],
    }
    # DEL is ASCII, and drives terminals all the same.
    click.echo(json.dumps(document, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f"))


def _as_json(finding: "Finding") -> dict[str, object]:
    return {
        "rule": finding.rule,
        "level": finding.level.value,
        "key": _bytes_shown(finding.key),
        "job_id": None if finding.job_id is None else _bytes_shown(finding.job_id),
        "expected": _bytes_shown(finding.expected),
        "found": _bytes_shown(finding.found),
        "status": _bytes_shown(finding.evidence.status),
        "worker_id": _bytes_shown(finding.evidence.worker_id),
        "claim_seq": _bytes_shown(finding.evidence.claim_seq),
        "repair": finding.repair.kind.value if finding.repair else None,
    }


def _bytes_shown(value: str) -> str:
    r"""Return a text of Redis in which bytes that are no UTF-8 stand as ``\xff``."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# For people.


def _print(diagnosis: "Diagnosis", address: str, healthy: bool) -> None:
    click.echo(f"Redis at {_fit(address)}")
    _print_table([(each.level, each.subject, each.text) for each in diagnosis.checks])
    if diagnosis.repairs:
        click.echo("\nRepairs")
        rows = [(reply.value, *_place(finding)) for finding, reply in diagnosis.repairs]
        _print_table(rows[:_SHOWN])
    click.echo(f"\n{diagnosis.keys} keys, {diagnosis.jobs} jobs")
    _print_table([(each.level, *_place(each)) for each in diagnosis.findings[:_SHOWN]])
    hidden = len(diagnosis.findings) - _SHOWN + diagnosis.left_out
    if hidden > 0:
        click.echo(f"and {hidden} more; --json lists more of them")
    click.echo(_summary(diagnosis, healthy))


def _place(finding: "Finding") -> tuple[str, str]:
    job = (
        f" {_bytes_shown(finding.job_id)}"
        if finding.job_id and not finding.key.endswith(finding.job_id)
        else ""
    )
    mend = "" if finding.repair else "; cannot be repaired here"
    return finding.rule, f"{_bytes_shown(finding.key)}{job}: {_bytes_shown(finding.problem)}{mend}"


def _print_table(rows: "list[tuple[Level | str, str, str]]") -> None:
    wide = max((len(subject) for _, subject, _ in rows), default=0)
    for level, subject, said in rows:
        click.echo(f"  {level:<8}  {_fit(subject):<{wide}}  {_fit(said)}")


def _fit(value: str) -> str:
    from rrq_orchestrator.log_text import cut, escape

    return cut(escape(value), 400)


def _summary(diagnosis: "Diagnosis", healthy: bool) -> str:
    from rrq_orchestrator.audit import Level

    levels = [check.level for check in diagnosis.checks] + [each.level for each in diagnosis.findings]
    errors, warnings = levels.count(Level.ERROR), levels.count(Level.WARNING)
    if not errors and not warnings:
        return "everything is in order"
    said = f"{errors} errors, {warnings} warnings"
    open_ = [each for each in diagnosis.findings if each.repair is not None]
    if open_ and not diagnosis.repairs:
        said += "; orchestrators repair what they can as they run, `rrq doctor --repair` does it now"
    return f"{said}; none of them counts with --errors-only" if healthy else said
