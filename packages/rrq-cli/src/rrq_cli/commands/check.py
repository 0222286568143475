"""``rrq check``: is Redis there, and does an orchestrator live that can execute jobs?"""

import time
from typing import TYPE_CHECKING

import click

from rrq_cli.app_settings import app_settings
from rrq_cli.exits import ExitCode, explain
from rrq_cli.hints import command
from rrq_cli.output import emit, note, note_if_none
from rrq_cli.params import GlobalOptions, common
from rrq_cli.shapes import Health
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.orchestrators import list_orchestrators, wrong_indexes
from rrq_cli.verdict import judge, judge_cron
from rrq_cli.views.health import show_health
from rrq_protocol.settings import cron_targets

if TYPE_CHECKING:
    from rrq_protocol import Settings

__all__ = ["ANSWER_S", "check", "look"]

ANSWER_S = 4.0
"""A server that takes longer is not well, and probes wait for us."""


@click.command()
@common
@click.option(
    "--settings",
    "reference",
    metavar="MODULE:ATTR",
    help="Go by the settings that this Python object is (RRQSettings) or holds (a RunnerSettings with "
    "rrq_settings), not by rrq.toml.",
)
def check(options: GlobalOptions, reference: str | None) -> int:
    """Check that Redis answers and that orchestrators live whose runners take jobs; exit code 1 when not.

    An orchestrator whose lease is past by the server's clock is shown as lapsed: it died, hangs, or lost its
    connection. A runner that no orchestrator can use is named.

    JSON: {"healthy", "redis", "redis_version", "ping_ms", "findings": [text], "orchestrators": [{"id",
    "state", "runners": […], …}]}, also where Redis does not answer
    """
    try:
        with open_store(options, _settings_of(reference, options), answer_s=ANSWER_S) as store:
            health = look(store)
            remark = store.remark
    except Exception as error:
        explained = explain(error)
        if explained is None or not options.as_json:
            raise
        code, reason = explained
        emit(True, Health(healthy=False, findings=[reason]), show_health)
        return code
    emit(options.as_json, health, show_health)
    note_if_none(health.orchestrators, remark)
    return ExitCode.OK if health.healthy else ExitCode.FINDING


def _settings_of(reference: str | None, options: GlobalOptions) -> "Settings | None":
    if reference is None:
        return None
    settings = app_settings(reference, options)
    if settings is None:
        note(f"{reference} holds handlers alone: rrq.toml and the environment say which Redis is meant")
    return settings


def look(store: Store) -> Health:
    """Return the state of Redis and the orchestrators."""
    begun = time.perf_counter()
    store.redis.ping()
    ping_ms = (time.perf_counter() - begun) * 1000
    found = list_orchestrators(store)
    broken = wrong_indexes(store)
    reasons, remarks = judge(found, start=command("worker", "run"))
    return Health(
        healthy=not reasons and not broken,
        redis=store.display,
        redis_version=_version(store),
        ping_ms=ping_ms,
        findings=[*broken, *reasons, *remarks, *judge_cron(cron_targets(store.settings), found)],
        orchestrators=found,
    )


def _version(store: Store) -> str:
    (reply,) = store.ask(("INFO", "server"))
    fields = reply if isinstance(reply, dict) else {}  # a server may forbid INFO
    if "valkey_version" in fields:
        return f"Valkey {fields['valkey_version']}"
    return f"Redis {fields['redis_version']}" if "redis_version" in fields else "unknown"
