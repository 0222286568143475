"""``rrq check``: is Redis there, and does an orchestrator live?"""

import time

import click

from rrq_cli.exits import ExitCode
from rrq_cli.output import emit
from rrq_cli.params import GlobalOptions, common
from rrq_cli.shapes import Health
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.orchestrators import list_orchestrators
from rrq_cli.views.health import show_health

__all__ = ["check", "look"]


@click.command()
@common
def check(options: GlobalOptions) -> int:
    """Check that Redis answers and an orchestrator is alive; exit code 1 when not.

    An orchestrator whose lease is past by the server's clock is shown as lapsed: it died, hangs, or lost its
    connection.

    JSON: {"healthy", "redis", "redis_version", "ping_ms", "findings": [text], "orchestrators": [{"id",
    "state", …}]}
    """
    with open_store(options) as store:
        health = look(store)
    emit(options.as_json, health, show_health)
    return ExitCode.OK if health.healthy else ExitCode.FINDING


def look(store: Store) -> Health:
    """Return the state of Redis and the orchestrators."""
    begun = time.perf_counter()
    store.redis.ping()
    ping_ms = (time.perf_counter() - begun) * 1000
    found = list_orchestrators(store)
    findings = []
    if not any(each.state == "live" for each in found):
        findings.append("no live orchestrator: jobs wait until one runs; start one with `rrq worker run`")
    findings += [
        f"the lease of {each.id} is past: it died, hangs, or lost Redis"
        for each in found
        if each.state == "lapsed"
    ]
    healthy = any(each.state == "live" for each in found)
    return Health(
        healthy=healthy,
        redis=store.display,
        redis_version=_version(store),
        ping_ms=ping_ms,
        findings=findings,
        orchestrators=found,
    )


def _version(store: Store) -> str:
    (reply,) = store.ask(("INFO", "server"))
    fields = reply if isinstance(reply, dict) else {}  # a server may forbid INFO
    if "valkey_version" in fields:
        return f"Valkey {fields['valkey_version']}"
    return f"Redis {fields['redis_version']}" if "redis_version" in fields else "unknown"
