"""Commands as Redis reads them (RESP arrays of bulk strings), packed once into one piece of bytes.

The client library packs argument by argument, in Python, each time it sends. An enqueue has 16 arguments per
job, so here the C parser's counterpart does it, and a command that is sent again is not packed again.
"""

from collections.abc import Sequence
from typing import Any, cast

from hiredis import pack_command

__all__ = ["pack"]


def pack(args: Sequence[str | bytes | int | float]) -> bytes:
    """Return one command: its name and its arguments; texts are sent as UTF-8."""
    packed: bytes = pack_command(cast(Any, tuple(args)))  # its stub knows tuples of one only
    return packed
