"""JSON without silent losses: what has no JSON form is refused by name, on both sides (F65-F67, F77).

The codec writes NaN and infinities as ``null`` and keeps stored texts unread. This module closes the gaps:

- encoding refuses non-finite floats, lone surrogates, cycles, and more than :data:`MAX_DEPTH` levels;
- checking a text that will stay encoded refuses what a later decoder would choke on: invalid UTF-8, numbers
  outside the range of a double (``1e999``), integers of more than 4300 digits, and the same depth.

``-0`` becomes 0, integers of up to 4300 digits are exact, and of a repeated key the last one counts.
"""

import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import msgspec

from rrq_protocol.errors import NotSerialisable, shown

MAX_DEPTH: Final = 128
"""Most levels of arrays and objects in parameters or a result; ``[]`` has one."""

ENCODE_ERRORS: Final = (
    TypeError,
    ValueError,
    RecursionError,
    OverflowError,
    AttributeError,
    msgspec.MsgspecError,
)
"""What the codec raises for a value it cannot write."""

DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the codec raises for a text it cannot read."""

_encode = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_decode = msgspec.json.Decoder().decode

# A MessagePack double whose exponent bits are all ones, or bytes that look like it.
_maybe_non_finite = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]").search

# Only a number of three exponent digits, or of 200 digits, can be out of a double's range. Both are sought
# after all digits became 0 and E became e: a pattern that starts with a literal is found many times faster.
_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_has_large_exponent = re.compile(rb"e\+?000").search
_LONG_NUMBER = b"0" * 200

_BRACKETS = b'"[]{}'
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_LEVEL_OF = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def encode_json(value: Any, name: str) -> bytes:
    """Return ``value`` as strict JSON.

    Accepts what msgspec does: JSON types, datetime, UUID, Decimal, Enum, set, Struct, dataclass, and more.

    Args:
        value: The value to encode.
        name: What the value is to the reader of an error, such as "params" or "result".

    Raises:
        NotSerialisable: The value, or something in it, has no JSON form, or it is nested too deeply.
    """
    try:
        text = _encode(value)
    except ENCODE_ERRORS as error:
        raise not_serialisable(name, error) from None
    check_encoded(value, text, name, MAX_DEPTH)
    return text


def not_serialisable(name: str, error: BaseException) -> NotSerialisable:
    """Return the error to raise for what the codec said about a value."""
    if isinstance(error, RecursionError):
        return _too_deep(name)
    if isinstance(error, UnicodeEncodeError):
        return NotSerialisable(name, "a text holds a lone surrogate, which UTF-8 cannot express")
    return NotSerialisable(name, f"has no JSON form: {error}")


def check_encoded(value: Any, text: bytes, name: str, max_depth: int) -> None:
    """Refuse the losses the codec does not report, given a value and the text it became.

    Raises:
        NotSerialisable: A float is not finite, or the text is nested deeper than ``max_depth``.
    """
    # Non-finite floats are written as null, so most texts need no look at their values at all.
    if b"null" in text and _may_hold_non_finite(value):
        for path, number in _non_finite(value, name):
            raise NotSerialisable(path, f"is {number}; JSON has no such number, send a text or None instead")
    if exceeds_depth(text, max_depth):
        raise _too_deep(name)


def check_text(text: bytes, name: str, max_depth: int = MAX_DEPTH) -> None:
    """Refuse a text that will be passed on unread and that a later reader could not decode.

    Cheap for ordinary texts: a few scans without building a value. The text must have passed a decoder that
    kept it as :class:`msgspec.Raw`, which checks the grammar and the escapes.

    Raises:
        NotSerialisable: Invalid UTF-8, a number out of range, or nested deeper than ``max_depth``.
    """
    if exceeds_depth(text, max_depth):
        raise _too_deep(name)
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise NotSerialisable(name, "is not valid UTF-8") from None
    alike = text.translate(_ALIKE)
    if _has_large_exponent(alike) is not None or (len(text) >= len(_LONG_NUMBER) and _LONG_NUMBER in alike):
        try:
            _decode(text)
        except DECODE_ERRORS as error:
            raise NotSerialisable(name, str(error)) from None


def check_object(text: bytes, name: str) -> msgspec.Raw:
    """Return ``text`` for verbatim use in a message, after making sure that it is one strict JSON object.

    Raises:
        NotSerialisable: It is anything else; the text says what.
    """
    try:
        raw = _skip(text)
    except DECODE_ERRORS as error:
        if isinstance(error, RecursionError):
            raise _too_deep(name) from None
        raise NotSerialisable(name, f"is not JSON: {error}") from None
    if not text.lstrip().startswith(b"{"):
        raise NotSerialisable(name, f"expected a JSON object, got {shown(text[:40])}")
    check_text(text, name)
    return raw


def exceeds_depth(text: bytes, max_depth: int) -> bool:
    """Return True if the JSON ``text`` has more than ``max_depth`` levels. Any bytes are safe."""
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(text.translate(None, _NOT_BRACKETS).split(b'"')[::2])
    return max(accumulate(map(_LEVEL_OF.__getitem__, outside_strings)), default=0) > max_depth


def _too_deep(name: str) -> NotSerialisable:
    return NotSerialisable(
        name,
        f"is nested deeper than {MAX_DEPTH} levels, or refers to itself; flatten it or encode parts as text",
    )


def _may_hold_non_finite(value: Any) -> bool:
    # MessagePack keeps NaN as a double, so scanning it is many times faster than walking the value.
    try:
        return _maybe_non_finite(_encode_msgpack(value)) is not None
    except ENCODE_ERRORS:
        return True  # an integer beyond 64 bits, for one: only JSON can write it


def _without_raw(item: Any) -> None:
    """Skip encoded JSON inside a value: it has been through a codec, which knows no NaN."""
    if not isinstance(item, msgspec.Raw):
        raise TypeError(f"cannot look into a {type(item).__name__}")


def _non_finite(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Yield path and value of each non-finite float in ``value``, also inside Structs and dataclasses."""
    pending: list[tuple[str, Any]] = [(name, msgspec.to_builtins(value, enc_hook=_without_raw))]
    while pending:
        path, item = pending.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                yield path, item
        elif isinstance(item, dict):
            pending.extend((f"{path}.{key}", each) for key, each in item.items())
        elif isinstance(item, list | tuple | set | frozenset):
            pending.extend((f"{path}[{index}]", each) for index, each in enumerate(item))
