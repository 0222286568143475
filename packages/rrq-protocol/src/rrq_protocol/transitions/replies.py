"""Shapes of Redis replies: what every ``decode`` of a ``ScriptCall`` starts from."""

from collections.abc import Sequence
from typing import cast

__all__ = ["as_list", "as_text", "now_arg"]


def as_list(reply: object) -> Sequence[object]:
    """Return an array reply."""
    return cast(Sequence[object], reply)


def as_text(reply: object) -> str:
    """Return a bulk or status reply as text, whether or not the client decodes replies itself."""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def now_arg(now_ms: int | None) -> str | int:
    """Return the scripts' ``now`` argument: empty means the server's own time."""
    return "" if now_ms is None else now_ms
