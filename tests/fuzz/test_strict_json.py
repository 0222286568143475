"""Strict JSON both ways: nothing is lost in silence, nothing right is refused (RELIABILITY.md F65 to F67,
F77)."""

import json
import math
from collections.abc import Hashable, Iterable
from typing import Any

import msgspec

from rrq_protocol.errors import NotSerialisable
from rrq_protocol.strict_json import MAX_DEPTH, check_object, encode_json, exceeds_depth
from support.fuzzing import Bytes, Fuzz, Tree
from support.fuzzing.text import check_one_line

SHARE = 1 / 6  # 50,000 of 300,000
VALUES_SHARE = 1 / 10
MOST_DIGITS = 4300
TOKENS = (
    b"{", b"}", b"[", b"]", b'"a":', b",", b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"1e999",
    b"-1e999", b"1E400", b"1e308", b"-0", b"9007199254740993", b"9" * 400, b"9" * 4301,
    b"0." + b"0" * 400 + b"1", b"1e-999", b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\x"',
    b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b'"\n"', b"[" * 128, b"[" * 129, b"]" * 128,
    b'{"a":' * 127, b"}" * 127, b"\\\\", b'\\"', b"//", b"01", b"1.", b".5", b"+1", b"\t", b"\r\n",
)  # fmt: skip


_NO_DIGITS = str.maketrans("", "", "0123456789")


class Refused(Exception):
    """What a plain reading of the rules says of a text."""


def plain(text: bytes) -> Any:
    """Return the value of a strict JSON text.

    Written for being obviously right, on the standard library's reader, which takes more than strict JSON.

    Raises:
        Refused: It is none.
    """
    try:
        decoded = text.decode()
        value = json.loads(
            decoded, parse_constant=_refused, parse_float=_float, parse_int=_int, object_pairs_hook=_pairs
        )
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from None
    if depth(decoded) > MAX_DEPTH:
        raise Refused("depth")
    _no_surrogate(value)
    return value


def _refused(text: str) -> Any:
    raise Refused(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Refused(text)
    return number


def _int(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise Refused("digits")
    return int(text)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for pair in pairs:  # of a repeated key the last one counts, but all of them have to be right
        _no_surrogate(list(pair))
    return dict(pairs)


def _no_surrogate(value: Any) -> None:
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise Refused("surrogate")
    for each in value if isinstance(value, list) else ():
        _no_surrogate(each)


def depth(text: str) -> int:
    """Return how many levels of brackets a JSON text has."""
    most = level = at = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            at += 1
            while at < len(text) and text[at] != '"':
                at += 2 if text[at] == "\\" else 1
        elif char in "[{":
            level += 1
            most = max(most, level)
        elif char in "]}":
            level -= 1
        at += 1
    return most


def check_reading(data: bytes) -> Iterable[Hashable]:
    """An object is kept as it is exactly if a plain reading takes it, and then it reads as the same value."""
    try:
        expected = plain(data)
        problem = "" if isinstance(expected, dict) else "no object"
    except Refused as error:
        expected, problem = None, f"{error}"
    try:
        kept = check_object(data, "params")
    except NotSerialisable as error:
        check_one_line(error)
        if not problem:
            raise
        return [("refused", error.problem[:60].partition(", got")[0].translate(_NO_DIGITS))]
    assert not problem, f"expected a refusal: {problem}"
    assert bytes(kept) == data.strip(b" \t\r\n")
    assert msgspec.json.decode(kept) == expected
    levels = depth(data.decode())
    assert exceeds_depth(data, levels - 1)
    assert not exceeds_depth(data, levels)
    return [("kept", min(levels // 16, 9))]


def test_a_text_is_kept_exactly_if_it_is_strict_json(fuzz: Fuzz) -> None:
    """Any bytes: what the check lets through, and nothing else, is one JSON object that every reader reads
    alike; what it refuses is refused in one line, without a crash at any depth.
    """
    report = fuzz.run("strict-json", Bytes(TOKENS), check_reading, share=SHARE)
    if fuzz.only is None:
        assert ("kept", MAX_DEPTH // 16) in report.outcomes


def _cycle() -> list[Any]:
    items: list[Any] = []
    items.append({"again": items})
    return items


def _deep(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


SPECIAL: dict[str, Any] = {
    "$:nan": math.nan,
    "$:inf": math.inf,
    "$:-inf": -math.inf,
    "$:surrogate": "\ud800",
    "$:huge": 10**4299,
    "$:cycle": _cycle(),
    "$:deep": _deep(2000),
    "$:deep-127": _deep(127),
    "$:object": object(),
    "$:bytes": b"\xff",
    "$:set": {math.nan},
    "$:tuple": (1, math.inf),
    "$:complex": 1j,
}


def _value(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _value(each) for name, each in tree.items()}
    if isinstance(tree, list):
        return [_value(each) for each in tree]
    return SPECIAL.get(tree, tree) if isinstance(tree, str) else tree


def _is_special(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(map(_is_special, tree.values()))
    return (
        any(map(_is_special, tree)) if isinstance(tree, list) else isinstance(tree, str) and tree in SPECIAL
    )


def check_writing(tree: Any) -> Iterable[Hashable]:
    """A value is written so that it reads as the same again, or it is refused by name."""
    special = _is_special(tree)
    try:
        text = encode_json(_value(tree), "result")
    except NotSerialisable as error:
        if not error.path.startswith("result"):
            raise
        return [("refused", error.problem[:20])]
    read = plain(text)
    if not special:
        assert read == tree
    return [("written", special)]


def test_a_value_is_written_exactly_or_refused(fuzz: Fuzz) -> None:
    """Any value of JSON types reads as the same again; one with a part that JSON has not is refused, never
    null in its place, nor is it an error of another kind.
    """
    tokens = [*(name.encode() for name in SPECIAL), *TOKENS]
    report = fuzz.run("values-out", Tree(tokens), check_writing, share=VALUES_SHARE)
    if fuzz.only is None:
        assert ("written", False) in report.outcomes


def test_every_special_value_alone_is_refused_or_exact() -> None:
    """NaN, infinities, cycles, depth, lone surrogates and foreign objects: none becomes null."""
    for name, value in SPECIAL.items():
        try:
            text = encode_json({"x": value}, "result")
        except NotSerialisable:
            continue
        assert b"null" not in text or name == "$:deep-127", name
