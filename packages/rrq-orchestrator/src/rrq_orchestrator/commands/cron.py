"""``rrq cron``: when entries of ``[[rrq.cron_jobs]]`` fire, and firing one by hand."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.commands.options import config_option, load, redis_options

if TYPE_CHECKING:
    from rrq_orchestrator.cron.entries import CronEntry
    from rrq_orchestrator.store import RedisLink
    from rrq_protocol import Keyspace, Settings

__all__ = ["cron"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_LATEST_MS: Final = 7_258_118_400_000


class Firing(msgspec.Struct):
    """An entry as ``rrq cron list`` shows it; instants are RFC 3339 in UTC.

    Attributes:
        last: The latest tick a job was made for; None if there was none yet.
        last_job: That job's id.
        state: That job's status; ``gone`` once its record has expired.
        next: The next tick; None if there is none.
    """

    name: str
    function: str
    schedule: str
    zone: str
    queue: str
    last: str | None
    last_job: str | None
    state: str | None
    next: str | None


def _options(command: F) -> F:
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)
    return config_option(redis_options(command))


@click.group()
def cron() -> None:
    """Jobs on a schedule ([[rrq.cron_jobs]]): when they fire, and firing one by hand."""


@cron.command("list")
@_options
def list_(config: str | None, redis_dsn: str | None, prefix: str | None, as_json: bool) -> None:
    """List the entries of the settings, with their last and next firing.

    JSON: [{"name", "function", "schedule", "zone", "queue", "last", "last_job", "state", "next"}]
    """
    with explained():
        settings = load(config, {"redis_dsn": redis_dsn, "key_prefix": prefix})
        entries = _entries(settings)
        firings = _with_redis(settings, lambda link, keys: _firings(link, keys, entries)) if entries else []
    if as_json:
        _echo_json(msgspec.to_builtins(firings))
        return
    for entry, firing in zip(entries, firings, strict=True):
        _print(firing, entry.schedule.zone)
    if not entries:
        click.echo("the settings have no [[rrq.cron_jobs]]")


def _offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the entries that Tab offers; none where the settings are wrong, for somebody is still typing."""
    from rrq_protocol import load_settings

    given = [each.params for each in (ctx, ctx.find_root())]
    config, dsn, prefix = (
        next((params[name] for params in given if params.get(name)), None)
        for name in ("config", "redis_dsn", "prefix")
    )
    with contextlib.suppress(Exception):
        settings = load_settings(config, overrides={"redis_dsn": dsn, "key_prefix": prefix})
        return [entry.name for entry in _entries(settings) if entry.name.startswith(incomplete)]
    return []


@cron.command()
@click.argument("name", metavar="NAME", shell_complete=_offered)
@_options
def trigger(name: str, config: str | None, redis_dsn: str | None, prefix: str | None, as_json: bool) -> None:
    """Enqueue the job of entry NAME now, beside its schedule, and print the job's id.

    If the entry skips overlaps and its last job has not ended, no second one is made, and that job's id is
    printed.

    JSON: {"id", "queue_name", "created"}
    """
    from rrq_protocol.transitions import EnqueueKind, enqueue

    with explained():
        settings = load(config, {"redis_dsn": redis_dsn, "key_prefix": prefix})
        entry = _named(name, _entries(settings))
        job = entry.job_now()
        (reply,) = _with_redis(settings, lambda link, keys: link.run(enqueue(keys, [job])))
        if reply.kind is EnqueueKind.WRONG_TYPE:
            fail(
                f"the key of queue {job.queue_name} holds something else; nothing was enqueued",
                ExitCode.UNEXPECTED,
            )
    created = reply.kind is EnqueueKind.CREATED
    if as_json:
        _echo_json({"id": reply.job_id, "queue_name": job.queue_name, "created": created})
        return
    click.echo(_shown(reply.job_id))
    if not created:
        click.echo("rrq: it was there already, and has not ended; the entry skips overlaps", err=True)


def _entries(settings: "Settings") -> "tuple[CronEntry, ...]":
    from rrq_orchestrator.cron.entries import cron_entries
    from rrq_protocol import SettingsError

    entries, problems = cron_entries(settings)
    if problems:
        raise SettingsError(problems)
    return entries


def _named(name: str, entries: "tuple[CronEntry, ...]") -> "CronEntry":
    found = [entry for entry in entries if entry.name == name]
    found = found or [entry for entry in entries if name in (entry.job.name, entry.job.function_name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(entry.name for entry in found or entries) or "none; the settings have no cron_jobs"
    said = "may mean any of" if found else "is no entry; expected one of"
    return fail(f"{name[:100]!a} {said}: {known}", ExitCode.USAGE)


def _with_redis(settings: "Settings", ask: "Callable[[RedisLink, Keyspace], Awaitable[T]]") -> T:
    """Return what ``ask`` makes of the Redis of the settings.

    Raises:
        click.exceptions.Exit: It is not to be had, or does not accept us.
    """
    import random

    import structlog

    from rrq_orchestrator.errors import RedisGone, RedisRefused
    from rrq_orchestrator.store import RedisLinks
    from rrq_protocol import Keyspace
    from rrq_protocol.settings import resolve_redis

    target = resolve_redis(settings)
    if target.url is None:
        fail(target.problem or f"rrq.redis_dsn: cannot use {target.display}", ExitCode.CONFIGURATION)
    quiet: Any = structlog.wrap_logger(None, processors=[_drop])

    async def asked() -> T:
        links = RedisLinks(target, target.display, quiet, random.Random())
        try:
            return await ask(links.make("cron"), Keyspace(settings.key_prefix))
        finally:
            await links.aclose()

    try:
        return asyncio.run(asked())
    except (RedisGone, RedisRefused) as error:  # as with any other command that Redis turns away
        fail(str(error), ExitCode.UNEXPECTED)
    except ValueError as error:
        fail(f"rrq.redis_dsn: {error} ({target.display})", ExitCode.CONFIGURATION)


def _drop(_: object, __: str, event: Any) -> Any:
    import structlog

    raise structlog.DropEvent


async def _firings(link: "RedisLink", keys: "Keyspace", entries: "tuple[CronEntry, ...]") -> list[Firing]:
    asked = [("HMGET", keys.cron(entry.name), "fired", "job_id", "tick") for entry in entries]
    seconds, _ = await link.command("TIME")
    rows = await link.batch(asked)
    held = [row if isinstance(row, list) else [None] * 3 for row in rows]
    ids = [_text(job_id) for _, job_id, _ in held]
    states = await link.batch([("HGET", keys.job(job_id or ""), "status") for job_id in ids])
    return [
        _firing(entry, fired, tick, job_id, state, int(seconds))
        for entry, (fired, _, tick), job_id, state in zip(entries, held, ids, states, strict=True)
    ]


def _firing(
    entry: "CronEntry", fired: Any, tick: Any, job_id: str | None, state: Any, server_s: int
) -> Firing:
    from rrq_orchestrator.cron.service import last_tick_ms

    last_ms, passed_ms = last_tick_ms(fired), last_tick_ms(tick)
    # A clock that was set back: what it shows again was fired.
    start = max(server_s, min(passed_ms or 0, _LATEST_MS) // 1000)
    was = last_ms is not None and job_id is not None
    return Firing(
        name=entry.name,
        function=entry.job.function_name,
        schedule=entry.job.schedule,
        zone=entry.job.timezone,
        queue=entry.queue,
        last=_instant(None if last_ms is None else min(last_ms, _LATEST_MS) // 1000),
        last_job=job_id,
        state=(_text(state) or "gone") if was else None,
        next=_instant(entry.schedule.after(start)),
    )


def _text(raw: Any) -> str | None:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else None


def _instant(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _print(firing: Firing, zone: tzinfo) -> None:
    click.echo(f"{_shown(firing.name)}: {_shown(firing.schedule)} ({_shown(firing.zone)})")
    click.echo(f"  job   {_shown(firing.function)}, queue {_shown(firing.queue)}")
    if firing.last is not None:
        click.echo(f"  last  {_local(firing.last, zone)}, {_shown(firing.state or 'gone')}")
        click.echo(f"        {_shown(firing.last_job or '')}")
    else:
        click.echo("  last  never")
    click.echo(f"  next  {_local(firing.next, zone) if firing.next is not None else 'never'}")


def _local(instant: str, zone: tzinfo) -> str:
    """Return an instant by the clock of the entry's zone."""
    local = datetime.fromisoformat(instant).astimezone(zone)
    return f"{local:%a %Y-%m-%d %H:%M:%S %z}"


def _shown(value: str) -> str:
    from rrq_orchestrator.log_text import cut, escape

    return cut(escape(value), 300)


def _echo_json(document: Any) -> None:
    # DEL is ASCII, and drives terminals all the same.
    click.echo(json.dumps(document, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f"))
