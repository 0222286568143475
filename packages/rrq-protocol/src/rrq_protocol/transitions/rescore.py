"""After the server's clock stepped back: what was due is due again (RELIABILITY.md 6.4, F49)."""

from typing import cast

import msgspec

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_list, now_arg

__all__ = ["Rescored", "rescore"]


class Rescored(msgspec.Struct, frozen=True):
    """How many jobs were moved by the call, and how many are to be moved yet."""

    moved: int
    left: int


def rescore(
    keyspace: Keyspace, queue: str, before_ms: float, *, limit: int = 1000, now_ms: int | None = None
) -> ScriptCall[Rescored]:
    """Return the call that makes jobs of ``queue`` due that were due before the step.

    Repeat it until none is left. Somebody else who does the same at the same time does no harm.

    Args:
        keyspace: The keys.
        queue: Bare queue name.
        before_ms: The server's time, had there been no step.
        limit: Jobs at most.
        now_ms: The time to go by; None is the server's.
    """
    keys = (keyspace.queue(queue), keyspace.rescored(queue))
    args = (keyspace.prefix, queue, now_arg(now_ms), repr(before_ms), limit)
    return ScriptCall("rescore", keys, args, _decode)


def _decode(reply: object) -> Rescored:
    moved, left = as_list(reply)
    return Rescored(int(cast(int, moved)), int(cast(int, left)))
