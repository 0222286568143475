"""Commands as Redis reads them (RESP arrays of bulk strings), packed once into one piece of bytes.

The client library packs argument by argument into many small pieces each time it sends. An enqueue has 16
arguments per job, nearly all the same from job to job, so here the short ones are remembered, and a command
that is sent again is not packed again.
"""

from collections.abc import Sequence
from functools import lru_cache

__all__ = ["pack"]

_REMEMBERED_CHARS = 64


def pack(args: Sequence[str | bytes | int | float]) -> bytes:
    """Return one command: its name and its arguments; texts are sent as UTF-8."""
    parts = [b"*%d\r\n" % len(args)]
    append = parts.append
    for value in args:
        if isinstance(value, str):
            append(_remembered(value) if len(value) <= _REMEMBERED_CHARS else _text(value))
        elif isinstance(value, bytes):
            append(b"$%d\r\n%b\r\n" % (len(value), value))
        else:
            append(_remembered(str(value)))
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"$%d\r\n%b\r\n" % (len(encoded), encoded)


_remembered = lru_cache(maxsize=1024)(_text)
