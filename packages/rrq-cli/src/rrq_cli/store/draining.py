"""Asking orchestrators to stop, and seeing them leave."""

import time
from collections.abc import Sequence

from rrq_cli.exits import fail
from rrq_cli.shapes import Drained
from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import leases, list_orchestrators
from rrq_cli.words import short_worker
from rrq_protocol import transitions

__all__ = ["drain_one", "find_orchestrators", "match", "wait_until_gone"]

_LOOK_AGAIN_S = 0.2


def find_orchestrators(store: Store, given: Sequence[str] | None) -> list[str]:
    """Return the ids that are meant, each once; None means all that live.

    Raises:
        CliError: A name fits nobody, or several.
    """
    found = list_orchestrators(store)
    if given is None:
        return [each.id for each in found if each.state == "live"]
    ids = [each.id for each in found]
    return list(dict.fromkeys(match(name, ids) for name in given))


def match(name: str, ids: Sequence[str]) -> str:
    """Return the id a name means: the id itself, its host:pid, or its beginning.

    Raises:
        CliError: It fits nobody, or several.
    """
    if name in ids:
        return name
    near = [each for each in ids if short_worker(each) == name] or [
        each for each in ids if each.startswith(name)
    ]
    if len(near) == 1:
        return near[0]
    if not near:
        fail(f"there is no orchestrator {name}: `rrq worker list` shows those that are known")
    return fail(f"{name} fits {len(near)} orchestrators: give more of the id (`rrq worker list` shows them)")


def drain_one(store: Store, orchestrator_id: str) -> Drained:
    """Ask one orchestrator to stop."""
    reply = store.run(transitions.drain(store.keys, orchestrator_id))
    return Drained(id=orchestrator_id, result=reply.value)


def wait_until_gone(store: Store, drained: Sequence[Drained], timeout_s: float) -> None:
    """Wait until those that were asked have given their leases back; write down who has."""
    give_up = time.monotonic() + timeout_s
    while True:
        live, dead = leases(store)
        for each in drained:
            each.gone = each.id not in live and each.id not in dead
        if all(each.gone for each in drained if each.result == "asked") or time.monotonic() >= give_up:
            return
        time.sleep(_LOOK_AGAIN_S)
