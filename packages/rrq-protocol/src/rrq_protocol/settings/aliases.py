"""Names of earlier versions and short forms, turned into the names of today before anything is read.

RUNNER_PROTOCOL.md lists what stays valid with a deprecation warning; the short forms are ours and warn of
nothing.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from rrq_protocol.settings.model import DEFAULT_HTTP_ADDRESS
from rrq_protocol.settings.tree import Leaf, Node, Table, show_path
from rrq_protocol.settings.values import describe

__all__ = ["KEY_ALIASES", "expand_short_forms", "rename_old_keys"]

_Place: TypeAlias = Callable[[int, str], str]

KEY_ALIASES: Final[Mapping[str, str]] = {
    "executors": "runners",
    "default_executor_name": "default_runner_name",
    "executor_routes": "runner_routes",
    "routing": "runner_routes",
    "executor_connect_timeout_ms": "runner_connect_timeout_ms",
    "executor_shutdown_term_grace_seconds": "runner_shutdown_term_grace_seconds",
    "executor_enable_inflight_cancel_hints": "runner_enable_inflight_cancel_hints",
    "capture_executor_output": "capture_runner_output",
}


def rename_old_keys(table: Table) -> list[str]:
    """Rename the old keys of one layer in place, with a DeprecationWarning each.

    Returns:
        Problems: an old name next to its new one.
    """
    problems = []
    for old, new in KEY_ALIASES.items():
        if old not in table.entries:
            continue
        node = table.entries.pop(old)
        if new in table.entries:
            problems.append(
                f"{show_path((old,))}: is the old name of {new}, which is set too; keep one ({node.origin})"
            )
            continue
        table.entries[new] = node
        _warn(f"{show_path((old,))} is an old name, write {show_path((new,))} ({node.origin})")
    cron_jobs = table.entries.get("cron_jobs")
    if isinstance(cron_jobs, Leaf) and isinstance(cron_jobs.value, list):
        place = partial(_place, cron_jobs)
        cron_jobs.value = [
            _with_params(_with_missed(entry, index, problems, place), index, problems, place)
            for index, entry in enumerate(cron_jobs.value)
        ]
    return problems


def _place(cron_jobs: Leaf, index: int, key: str) -> str:
    """Return where a key of a cron entry stands, for the end of a message."""
    path = ("cron_jobs", f"[{index}]", key)
    origin = cron_jobs.origin if cron_jobs.locate is None else cron_jobs.locate(path)
    return "" if origin.kind in ("default", "override") else f" ({origin})"


def _with_missed(entry: object, index: int, problems: list[str], place: "_Place") -> object:
    """Turn ``catch_up`` of a cron entry into ``missed``."""
    if not isinstance(entry, Mapping) or "catch_up" not in entry:
        return entry
    path = show_path(("cron_jobs", f"[{index}]"))
    if "missed" in entry:
        problem = f"{path}: catch_up is the old name of missed, which is set too; keep one"
        problems.append(f"{problem}{place(index, 'catch_up')}")
    else:
        _warn(f"{path}: catch_up is an old name, write missed{place(index, 'catch_up')}")
    return {("missed" if key == "catch_up" else key): value for key, value in entry.items()}


def _with_params(entry: object, index: int, problems: list[str], place: "_Place") -> object:
    """Turn ``args`` and ``kwargs`` of a cron entry into ``params``, where they travel in version 2."""
    if not isinstance(entry, Mapping) or not ("args" in entry or "kwargs" in entry):
        return entry
    path = show_path(("cron_jobs", f"[{index}]"))
    rest = {key: value for key, value in entry.items() if key not in ("args", "kwargs")}
    args, kwargs = entry.get("args", []), entry.get("kwargs", {})
    stands = place(index, "args" if "args" in entry else "kwargs")
    if not isinstance(args, list):
        problems.append(f"{path}.args: expected a list, got {describe(args)}{stands}")
    elif not isinstance(kwargs, Mapping):
        problems.append(f"{path}.kwargs: expected a table, got {describe(kwargs)}{place(index, 'kwargs')}")
    elif "params" in rest or (args and "args" in kwargs):
        problems.append(f"{path}: args and kwargs are the old form of params; give params only{stands}")
    else:
        rest["params"] = {**kwargs, "args": args} if args else dict(kwargs)
        _warn(f"{path}: args and kwargs are the old form, write params = {{...}}{stands}")
    return rest


def expand_short_forms(settings: Table) -> None:
    """Write out ``http = "host:port"``, ``worker.queues = ["a"]`` and ``worker.concurrency``, in place."""
    http = settings.entries.get("http")
    if isinstance(http, Leaf):
        settings.entries["http"] = _http(http)
    worker = settings.entries.get("worker")
    if isinstance(worker, Table):
        worker = settings.entries["worker"] = Table(dict(worker.entries), worker.origin)
        queues = worker.entries.get("queues")
        if isinstance(queues, Leaf):
            worker.entries["queues"] = _queues(queues)
        concurrency = worker.entries.pop("concurrency", None)
        if concurrency is not None:
            settings.entries.setdefault("worker_concurrency", concurrency)


def _http(leaf: Leaf) -> Node:
    value = leaf.value
    if isinstance(value, str):
        switch = {"on": True, "true": True, "off": False, "false": False}.get(value.strip().lower())
        value = value if switch is None else switch
    if value is True:
        value = DEFAULT_HTTP_ADDRESS
    if value is False:
        return Table({}, leaf.origin)
    return (
        Table({"address": Leaf(value, leaf.origin, leaf.text)}, leaf.origin)
        if isinstance(value, str)
        else leaf
    )


def _queues(leaf: Leaf) -> Node:
    """Turn a list of names, or the text ``critical=6,default``, into a table of weights."""
    names: object = leaf.value
    if isinstance(names, str) and leaf.text:
        names = [part.strip() for part in names.split(",") if part.strip()]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return leaf
    pairs = (name.partition("=") for name in names)
    return Table(
        {name.strip(): Leaf(weight.strip() or "1", leaf.origin, text=True) for name, _, weight in pairs},
        leaf.origin,
    )


def _warn(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=2)
