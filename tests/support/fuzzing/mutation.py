"""Mutation of byte strings and of JSON trees, all of it drawn from one seeded source."""

import random
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["MOST_BYTES", "mutated_bytes", "mutated_text", "mutated_tree", "odd_scalar"]

MOST_BYTES = 16 * 1024
"""Longest input made; only a run of repeated tokens comes close to it."""

_LENGTHS = (0, 1, 3, 4, 255, 256, 4095, 4096, 4097, 2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**32 - 1)
_HEADERS = tuple(length.to_bytes(4, "big") for length in _LENGTHS)
_NUMBERS = (
    b"0", b"-0", b"-1", b"1", b"2", b"1.5", b"1e308", b"1e999", b"-1e999", b"1E+400", b"0.1e-400", b"NaN",
    b"Infinity", b"-Infinity", b"nan", b"inf", b"4096", b"65535", b"65536", b"2147483648", b"4294967295",
    b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"00",
    b"1_0", b"0x10", b"+1", b" 1", b"9" * 16, b"9" * 400, b"9" * 4301, "٣".encode(), "²".encode(),
)  # fmt: skip
_PIECES = (
    b"", b"\0", b"\n", b"\r\n", b"\t", b" ", b'"', b"\\", b"'", b"{", b"}", b"[", b"]", b":", b",", b"null",
    b"true", b"false", b"\x1b[2J", b"\x9b31m", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf", "\u202e".encode(), "\u200b".encode(),
    "e\u0301\u0301\u0301\u0301\u0301\u0301".encode(), "\U0001f468\u200d\U0001f469".encode(),
    "\u2028".encode(), "漢".encode(), b"\\ud800", b"\\u0000", b"[red]", b":smile:", b"{}", b"[]", b"..", b"*",
    b"#", b"@", b"/", b"%00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00",
)  # fmt: skip
_ODD_TEXTS = (*(each.decode("utf-8", "replace") for each in (*_NUMBERS, *_PIECES)), "\ud800", "x" * 300)
_digits = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?").finditer


def mutated_bytes(data: bytes, other: bytes, rng: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """Return ``data`` changed in one to four places; ``other`` is another input to take parts from."""
    pick = rng.random
    for _ in range(1 + int(pick() * pick() * 4)):
        data = _STEPS[int(pick() * len(_STEPS))](data, other, rng, tokens)
    return data[:MOST_BYTES]


def mutated_text(text: str, other: str, rng: random.Random, tokens: Sequence[bytes] = ()) -> str:
    """Return a text mutated as bytes. What is no UTF-8 becomes Latin-1, now and then a lone surrogate."""
    raw = mutated_bytes(
        text.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"), rng, tokens
    )
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1") if rng.random() < 0.7 else raw.decode("utf-8", "surrogateescape")


def _at(rng: random.Random, data: bytes) -> int:
    return int(rng.random() * (len(data) + 1))


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = _at(rng, data)
    return start, min(len(data), start + int(rng.random() ** 3 * (len(data) + 1)) + 1)


def _flip(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = int(rng.random() * len(data))
    return data[:at] + bytes([data[at] ^ (1 << int(rng.random() * 8))]) + data[at + 1 :]


def _overwrite(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    piece = rng.randbytes(1 + int(rng.random() * 4)) if rng.random() < 0.5 else rng.choice(_HEADERS)
    return data[:at] + piece + data[at + len(piece) :]


def _truncate(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    return data[: _at(rng, data)]


def _cut(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    most = 4 if rng.random() < 0.9 else max(4, 4096 // (end - start or 1))
    return data[:start] + data[start:end] * (1 + int(rng.random() * most)) + data[end:]


def _insert(data: bytes, _other: bytes, rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    piece = rng.choice(tokens) if tokens and rng.random() < 0.6 else rng.choice(_PIECES)
    return data[:at] + piece + data[at:]


def _replace(data: bytes, _other: bytes, rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    piece = rng.choice(tokens) if tokens and rng.random() < 0.6 else rng.choice(_PIECES)
    return data[:start] + piece + data[end:]


def _swap_token(data: bytes, _other: bytes, rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    if not tokens:
        return data
    old = rng.choice(tokens)
    return data.replace(old, rng.choice(tokens), 1) if old else data


def _number(data: bytes, _other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    found = list(_digits(data))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]


def _splice(data: bytes, other: bytes, rng: random.Random, _tokens: Sequence[bytes]) -> bytes:
    if rng.random() < 0.5:
        return data[: _at(rng, data)] + other[_at(rng, other) :]
    at, (start, end) = _at(rng, data), _span(rng, other)
    return data[:at] + other[start:end] + data[at:]


_STEPS = (
    _flip,
    _flip,
    _overwrite,
    _truncate,
    _cut,
    _repeat,
    _insert,
    _insert,
    _replace,
    _swap_token,
    _number,
    _splice,
)


def odd_scalar(rng: random.Random, tokens: Sequence[bytes] = ()) -> Any:
    """Return a JSON value of no depth that somebody may not have thought of."""
    kind = int(rng.random() * 6)
    if kind == 0:
        return rng.choice((None, True, False, [], {}, "", [[]], {"": None}))
    if kind == 1:
        sign = -1 if rng.random() < 0.3 else 1
        return sign * rng.choice((0, 1, 2, 255, 65536, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30))
    if kind == 2:
        return rng.choice((0.5, -0.0, 1e308, 5e-324, 0.1, 1e16, -1.5))
    if kind == 3 and tokens:
        return rng.choice(tokens).decode("utf-8", "replace")
    return rng.choice(_ODD_TEXTS)


def mutated_tree(tree: Any, other: Any, rng: random.Random, tokens: Sequence[bytes] = ()) -> Any:
    """Return a JSON tree changed in one place; every place is as likely as its neighbours."""
    if isinstance(tree, dict) and tree and rng.random() < 0.98:
        return _mutated_dict(tree, other, rng, tokens)
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        at = int(rng.random() * len(tree))
        if rng.random() < 0.3:
            return tree[:at] + tree[at + 1 :] if rng.random() < 0.5 else [*tree, tree[at]]
        return [*tree[:at], mutated_tree(tree[at], _part(other, rng), rng, tokens), *tree[at + 1 :]]
    if isinstance(tree, str) and rng.random() < 0.7:
        return mutated_text(tree, other if isinstance(other, str) else "", rng, tokens)
    if isinstance(tree, int) and not isinstance(tree, bool) and rng.random() < 0.5:
        return tree + rng.choice((-1, 1, 255, -256))
    if rng.random() < 0.1:
        return _nested(tree, rng)
    return _part(other, rng) if rng.random() < 0.2 else odd_scalar(rng, tokens)


def _mutated_dict(
    tree: dict[str, Any], other: Any, rng: random.Random, tokens: Sequence[bytes]
) -> dict[str, Any]:
    result = dict(tree)
    key = rng.choice(list(tree))
    choice = rng.random()
    if choice < 0.08:
        del result[key]
    elif choice < 0.16:
        name = (
            rng.choice(tokens).decode("utf-8", "replace")
            if tokens and rng.random() < 0.7
            else rng.choice(_ODD_TEXTS)
        )
        result[name] = result.pop(key) if rng.random() < 0.5 else odd_scalar(rng, tokens)
    elif choice < 0.24:
        second = rng.choice(list(tree))
        result[key], result[second] = result[second], result[key]
    elif choice < 0.32 and isinstance(other, dict) and other:
        taken = rng.choice(list(other))
        result[taken] = other[taken]
    else:
        near = other.get(key) if isinstance(other, dict) else None
        result[key] = mutated_tree(tree[key], near, rng, tokens)
    return result


def _part(tree: Any, rng: random.Random) -> Any:
    if isinstance(tree, dict) and tree:
        return rng.choice(list(tree.values()))
    return rng.choice(tree) if isinstance(tree, list) and tree else tree


def _nested(tree: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice((1, 2, 30, 64, 126, 127, 128, 129, 200))):
        tree = [tree] if rng.random() < 0.7 else {"a": tree}
    return tree
