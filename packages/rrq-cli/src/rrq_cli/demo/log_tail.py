"""The end of a JSON log in lines that a person reads."""

import json
from pathlib import Path
from typing import Any

from rrq_cli.text import cut, escape

__all__ = ["last_lines"]

_MOST = 8
_CELLS = 300
_LEFT_OUT = {"timestamp", "level", "event", "exception"}
_SERIOUS = {"warning", "error", "critical"}


def last_lines(log: Path) -> list[str]:
    """Return the last events of a log, the serious ones where there are any; without tracebacks."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"  (cannot be read: {error.strerror})"]
    events = [_event(line) for line in lines if line.strip()]
    serious = [words for is_serious, words in events if is_serious]
    chosen = serious or [words for _, words in events]
    return [f"  {cut(escape(words), _CELLS)}" for words in chosen[-_MOST:]] or ["  (it is empty)"]


def _event(line: str) -> tuple[bool, str]:
    """Return whether a line is serious, and its words; what is no event at all is serious too."""
    try:
        fields: Any = json.loads(line)
    except ValueError:
        return True, line
    if not isinstance(fields, dict) or "event" not in fields:
        return True, line
    facts = [f"{name}={value}" for name, value in fields.items() if name not in _LEFT_OUT]
    return fields.get("level") in _SERIOUS, " ".join([str(fields["event"]), *facts])
