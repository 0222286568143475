"""What ``rrq top`` does with a key: a state and a key in, the next state and what is to be done out. Pure.

There are three lists to move in: queues, running jobs, dead letters. What changes something for good asks
first: the state then holds the action, and only ``y`` lets it out.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rrq_cli.shapes import JobRow, OrchestratorInfo, QueueStats

__all__ = ["PANES", "Action", "Overview", "State", "follow", "press", "selected"]

PANES = ("queues", "running", "dead")
_FAR = 10**9
_STEPS = {
    "up": -1, "k": -1, "down": 1, "j": 1, "page_up": -10, "page_down": 10, "home": -_FAR, "end": _FAR,
}  # fmt: skip


class Overview(msgspec.Struct, kw_only=True):
    """One look at everything. ``running`` are the jobs that run longest, ``dead`` the newest dead letters."""

    at: datetime | None = None
    redis: str = ""
    queues: list[QueueStats] = []
    orchestrators: list[OrchestratorInfo] = []
    running: list[JobRow] = []
    dead: list[JobRow] = []
    dead_total: int = 0


class Action(msgspec.Struct, frozen=True):
    """What is to be done: ``pause``, ``resume``, ``cancel``, ``requeue`` or ``quit``, and to what."""

    kind: str
    target: str = ""


class State(msgspec.Struct, frozen=True):
    """Where the cursor is, what was said last, and what waits for a yes."""

    pane: str = "queues"
    cursor: int = 0
    message: str = ""
    pending: Action | None = None


def names_of(pane: str, seen: Overview) -> Sequence[str]:
    """Return the names in a list, in the order they are shown."""
    if pane == "queues":
        return [each.name for each in seen.queues]
    return [each.id for each in (seen.running if pane == "running" else seen.dead)]


def selected(state: State, seen: Overview) -> str | None:
    """Return what the cursor stands on; lists shrink under it."""
    names = names_of(state.pane, seen)
    return names[min(state.cursor, len(names) - 1)] if names else None


def follow(state: State, before: Overview, after: Overview) -> State:
    """Return the state for another look: the cursor stays on what it stood on, wherever that is now."""
    name, names = selected(state, before), names_of(state.pane, after)
    if name is None or name not in names:
        return state
    return msgspec.structs.replace(state, cursor=names.index(name))


def press(state: State, key: str, seen: Overview) -> tuple[State, Action | None]:
    """Return the state after a key, and what is to be done now."""
    change = msgspec.structs.replace
    if state.pending is not None:
        agreed = key in ("y", "Y")
        calm = change(state, pending=None, message="" if agreed else "nothing was done")
        return calm, state.pending if agreed else None
    state = change(state, message="")
    if key in ("q", "Q", "escape", "eof"):
        return state, Action("quit")
    if key in ("tab", "right", "left"):
        step = -1 if key == "left" else 1
        return State(PANES[(PANES.index(state.pane) + step) % len(PANES)]), None
    if key in _STEPS:
        last = max(0, len(names_of(state.pane, seen)) - 1)
        at = min(state.cursor, last) + _STEPS[key]
        return change(state, cursor=max(0, min(at, last))), None
    return _act(state, key, seen)


def _act(state: State, key: str, seen: Overview) -> tuple[State, Action | None]:
    change, target = msgspec.structs.replace, selected(state, seen)
    pane = {"p": "queues", "c": "running", "r": "dead"}.get(key)
    if pane is None:
        return state, None
    if pane != state.pane or target is None:
        where = {"queues": "a queue", "running": "a running job", "dead": "a dead letter"}[pane]
        return change(state, message=f"{key}: move to {where} first (Tab, arrows)"), None
    if key == "p":
        paused = next(each.paused for each in seen.queues if each.name == target)
        return state, Action("resume" if paused else "pause", target)
    action = Action("cancel" if key == "c" else "requeue", target)
    return change(state, pending=action, message=f"{action.kind} job {target}? y/n"), None
