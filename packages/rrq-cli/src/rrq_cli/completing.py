"""What Tab offers where a name is wanted: queues, dead letter queues, jobs, orchestrators.

Redis is asked, for a short time only. Where it does not answer, where settings are wrong, where anything else
goes wrong, nothing is offered and nothing is said: whoever presses Tab is still typing.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from rrq_cli.params import GLOBAL_OPTIONS, GlobalOptions

if TYPE_CHECKING:
    import click

    from rrq_cli.store.client import Store

__all__ = ["any_jobs", "dead_jobs", "dlqs", "open_jobs", "orchestrators", "queues"]

PATIENCE_S = 0.6
"""How long Redis is waited for."""

MOST = 50
"""Names that are offered at once."""

_LOOKED_AT = 1000
# The shells' scripts read lines and commas, and what a stranger may have put into a name is typed for nobody.
_plain = re.compile(r"[\w.@#/+=:][\w.@#/+=:-]*", re.ASCII)
Offer = Callable[["click.Context", "click.Parameter", str], list[str]]


def _offer(ask: "Callable[[Store], Iterable[str]]") -> Offer:
    """Return what click asks for the words that may stand in a place."""

    def offer(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> list[str]:
        names = dict.fromkeys(_asked(_given(ctx), ask))
        fitting = (name for name in names if name.startswith(incomplete) and _plain.fullmatch(name))
        return list(islice(fitting, MOST))

    return offer


def _given(ctx: "click.Context | None") -> GlobalOptions:
    """Return the global options that stand before the word; no command has run that would have kept them."""
    found: dict[str, Any] = {}
    while ctx is not None:
        for _, name, _ in GLOBAL_OPTIONS:
            if found.get(name) is None:
                found[name] = ctx.params.get(name)
        ctx = ctx.parent
    return GlobalOptions(**found)


def _asked(options: GlobalOptions, ask: "Callable[[Store], Iterable[str]]") -> list[str]:
    found: list[str] = []

    def look() -> None:
        # BaseException: nothing of it may reach the line that is being typed.
        with contextlib.suppress(BaseException), open_store(options) as store:
            found.extend(ask(store))

    from rrq_cli.store.client import open_store  # takes its time, which is not Redis's

    # A thread, for looking up a host's name ends at no limit of ours; the process ends without it.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PATIENCE_S)
    return list(found)


def _queues(store: "Store") -> Iterable[str]:
    from rrq_cli.store.queues import queue_names

    return queue_names(store)


def _dlqs(store: "Store") -> Iterable[str]:
    from rrq_cli.store.dead_letters import dlq_names

    return dlq_names(store)


def _orchestrators(store: "Store") -> Iterable[str]:
    from rrq_cli.store.orchestrators import leases

    return leases(store)[0]


def _running(store: "Store") -> Iterator[str]:
    from rrq_cli.store.orchestrators import active_ids

    for held in active_ids(store).values():
        yield from held


def _waiting(store: "Store") -> Iterator[str]:
    yield from _listed(store, "ZRANGE", [store.keys.queue(name) for name in _queues(store)])


def _dead(store: "Store") -> Iterator[str]:
    yield from _listed(store, "LRANGE", [store.keys.dlq(name) for name in _dlqs(store)])


def _listed(store: "Store", command: str, keys: list[str]) -> Iterator[str]:
    from rrq_cli.store.records import text_of

    for reply in store.ask(*((command, key, 0, _LOOKED_AT - 1) for key in keys)):
        if isinstance(reply, list):
            yield from map(text_of, reply)


def _open(store: "Store") -> Iterator[str]:
    yield from _running(store)
    yield from _waiting(store)


def _any(store: "Store") -> Iterator[str]:
    yield from _running(store)
    yield from _dead(store)
    yield from _waiting(store)


queues = _offer(_queues)
dlqs = _offer(_dlqs)
orchestrators = _offer(_orchestrators)
dead_jobs = _offer(_dead)
open_jobs = _offer(_open)
any_jobs = _offer(_any)
