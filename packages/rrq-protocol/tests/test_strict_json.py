"""Strict JSON: nothing without a JSON form is written, and nothing unreadable is passed on (F65-F67, F77)."""

import dataclasses
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.errors import NotSerialisable
from rrq_protocol.strict_json import MAX_DEPTH, check_object, check_text, encode_json, exceeds_depth

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Point(msgspec.Struct):
    """A Struct as a result."""

    x: Any = None
    tags: tuple[Any, ...] = ()


@dataclasses.dataclass
class Reading:
    """A dataclass as a result."""

    value: Any = None


class Level(Enum):
    """An Enum whose value has no JSON form."""

    HIGH = float("inf")


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """Return JSON of that many levels."""
    return (opening * depth + closing * depth).encode()


def cyclic() -> list[Any]:
    """Return a list that holds itself."""
    items: list[Any] = []
    items.append(items)
    return items


def levels(depth: int) -> Any:
    """Return lists inside one another, that many."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(JSON)
def test_json_values_survive(value: Any) -> None:
    """Every JSON value is written such that decoders read it back, and passes the check of texts."""
    text = encode_json(value, "result")
    assert msgspec.json.decode(text) == value
    assert json.loads(text) == value
    check_text(text, "result")


def test_the_rich_types_have_their_usual_form() -> None:
    """Times, ids, decimals, sets, Structs and dataclasses are written as msgspec does."""
    value = {
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "id": UUID(int=1),
        "price": Decimal("1.10"),
        "point": Point(1, (None,)),
        "reading": Reading(None),
    }
    assert encode_json(value, "params") == (
        b'{"at":"2024-01-01T00:00:00Z","id":"00000000-0000-0000-0000-000000000001","price":"1.10",'
        b'"point":{"x":1,"tags":[null]},"reading":{"value":null}}'
    )


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "path", "number"),
    [
        (NAN, "params", "nan"),
        (-INF, "params", "-inf"),
        ({"a": [1, {"b": INF}]}, "params.a[1].b", "inf"),
        ({"a": None, "b": -NAN}, "params.b", "nan"),
        ({"big": 2**80, "x": NAN}, "params.x", "nan"),
        ({1: NAN}, "params.1", "nan"),
        ((1.5, NAN), "params[1]", "nan"),
        ({NAN}, "params[0]", "nan"),
        ({"s": Point(NAN)}, "params.s.x", "nan"),
        ({"s": Point(tags=(0, INF))}, "params.s.tags[1]", "inf"),
        ([Reading(Reading(NAN))], "params[0].value.value", "nan"),
        ([Level.HIGH], "params[0]", "inf"),
        ([msgspec.Raw(b"null"), NAN], "params[1]", "nan"),
    ],
    ids=str,
)
def test_numbers_json_does_not_have_are_refused(value: Any, path: str, number: str) -> None:
    """NaN and infinities are refused wherever they are, with their place; they never become null."""
    with pytest.raises(NotSerialisable) as caught:
        encode_json(value, "params")
    assert caught.value.path == path
    assert caught.value.problem.startswith(f"is {number}; JSON has no such number")


@given(JSON, st.sampled_from([NAN, INF, -INF]), st.integers(0, 3))
def test_no_null_appears_that_was_not_given(value: Any, number: float, wrap: int) -> None:
    """Beside any other content, a non-finite number is refused."""
    hidden: Any = [{"n": number}, [number], Point(number), Reading([number])][wrap]
    with pytest.raises(NotSerialisable):
        encode_json([value, hidden, value], "result")


@pytest.mark.parametrize(
    "value", [None, [None, 1.5], {"null": "null"}, "null", {"x": None, "y": 1e308, "z": 2**200}]
)
def test_real_nulls_are_fine(value: Any) -> None:
    """None, the text "null", and large but finite numbers beside it are no finding."""
    assert msgspec.json.decode(encode_json(value, "result")) == value


def test_bytes_that_only_look_like_nan_are_fine() -> None:
    """A text whose bytes resemble a non-finite number is looked at closely and passes."""
    value = [None, b"\xcb\x7f\xf8".decode("latin-1"), b"\xcb\x7f\xff\xff", "\u02ff"]
    assert encode_json(value, "result").startswith(b"[null,")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "has no JSON form"),
        ({(1, 2): 3}, "has no JSON form"),
        (10**5000, "has no JSON form"),
        (lambda: None, "has no JSON form"),
        (1j, "has no JSON form"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        (cyclic(), "refers to itself"),
        (levels(100_000), "nested deeper than 128"),
        (levels(MAX_DEPTH + 1), "nested deeper than 128"),
    ],
    ids=[
        "object",
        "key",
        "digits",
        "function",
        "complex",
        "surrogate",
        "surrogate key",
        "cycle",
        "deep",
        "129",
    ],
)
def test_values_without_a_json_form_are_refused(value: Any, problem: str) -> None:
    """Whatever cannot be written is refused with the reason, and by the same error."""
    with pytest.raises(NotSerialisable, match=problem) as caught:
        encode_json(value, "result")
    assert caught.value.path == "result"


def test_the_depth_limit_is_inclusive() -> None:
    """As many levels as the limit may be written and passed on, one more may not."""
    text = encode_json(levels(MAX_DEPTH), "result")
    assert text == nested(MAX_DEPTH)
    check_text(text, "result")
    with pytest.raises(NotSerialisable, match="nested deeper"):
        check_text(nested(MAX_DEPTH + 1), "result")


@given(JSON, st.integers(0, 6))
def test_depth_is_counted_like_a_reader_would(value: Any, limit: int) -> None:
    """For any value, brackets and quotes inside texts included, the depth is that of the value."""

    def depth(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + max(map(depth, item.values()), default=0)
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    text = msgspec.json.encode(value)
    assert exceeds_depth(text, limit) == (depth(value) > limit)


@pytest.mark.parametrize(
    "text", ['"[[["', '"\\"[[["', '"\\\\"', '["\\\\",[]]', '{"[\\"[":"]"}', '["\\\\\\"[[[["]']
)
def test_brackets_in_texts_are_no_levels(text: str) -> None:
    """Escaped quotes and backslashes do not confuse where a text ends."""
    assert not exceeds_depth(text.encode(), 2)


@given(st.binary(max_size=300))
def test_depth_of_any_bytes_is_safe(data: bytes) -> None:
    """Counting levels never fails, whatever the bytes are."""
    exceeds_depth(data, 2)


@pytest.mark.parametrize("depth", [10**2, 10**3, 10**4, 10**5, 10**6])
@pytest.mark.parametrize("form", [("[", "]"), ('{"a":', "}"), ("[", "")], ids=["arrays", "objects", "open"])
def test_any_nesting_is_answered(depth: int, form: tuple[str, str]) -> None:
    """From a hundred levels to a million, a text is accepted or refused, without a RecursionError (F67)."""
    opening, closing = form
    text = (opening * depth + ("1" if closing == "}" else "") + closing * depth).encode()
    assert exceeds_depth(text, MAX_DEPTH) == (depth > MAX_DEPTH)
    if depth > MAX_DEPTH:
        with pytest.raises(NotSerialisable):
            check_object(text, "params")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'"\xff"', "not valid UTF-8"),
        (b'"\xed\xa0\x80"', "not valid UTF-8"),
        (b'"\xc0\xaf"', "not valid UTF-8"),
        (b"1e999", "out of range"),
        (b"-1E+999", "out of range"),
        (b"[1e309]", "out of range"),
        (b"1" * 400 + b".0", "out of range"),
        (b"9" * 250 + b"e99", "out of range"),
        (b"1" * 5000, "out of range"),
        (b'{"a":[{"b":1e0400}]}', "out of range"),
    ],
    ids=ascii,
)
def test_texts_a_later_reader_could_not_decode_are_refused(text: bytes, problem: str) -> None:
    """A text kept encoded is refused if decoding it later would fail, which skipping it does not tell."""
    msgspec.json.decode(text, type=msgspec.Raw)
    with pytest.raises(NotSerialisable, match=problem):
        check_text(text, "result")


@pytest.mark.parametrize(
    "text",
    [
        b"1e308",
        b"1e-999",
        b"0e999",
        b"-0",
        b"9007199254740993",
        b"1" * 400,
        b'"1e999"',
        b'"7e123-0e000"',
        '"ü"'.encode(),
    ],
    ids=ascii,
)
def test_unusual_but_readable_texts_pass(text: bytes) -> None:
    """Small exponents, exact large integers and texts that look like numbers are no finding."""
    check_text(text, "result")
    msgspec.json.decode(text)


@given(st.from_regex(rb"-?(0|[1-9][0-9]{0,320})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
def test_any_number_that_passes_can_be_decoded(text: bytes) -> None:
    """For any number JSON can write, the check and a full decoder agree."""
    try:
        msgspec.json.decode(text)
        readable = True
    except msgspec.MsgspecError:
        readable = False
    try:
        check_text(text, "result")
        passed = True
    except NotSerialisable:
        passed = False
    assert passed == readable


def test_what_the_numbers_become() -> None:
    """-0 is 0, integers are exact, floats are doubles, and of a repeated key the last one counts."""
    assert msgspec.json.decode(b"-0") == 0
    assert math.copysign(1, msgspec.json.decode(b"-0.0")) == -1
    assert msgspec.json.decode(b"9007199254740993") == 2**53 + 1
    assert msgspec.json.decode(b"1" * 400) == int("1" * 400)
    assert msgspec.json.decode(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("text", [b"{}", b' {"a": null}\n', b'{"to":"a@b.c","n":[1,2]}', b'{"a":1,"a":2}'])
def test_stored_objects_are_passed_on_byte_for_byte(text: bytes) -> None:
    """One JSON object is returned for verbatim use."""
    assert bytes(check_object(text, "params")).strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is not JSON"),
        (b"   ", "is not JSON"),
        (b"[]", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        (b'"{}"', "expected a JSON object"),
        (b"{", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b'{},"function_name":"other"', "is not JSON"),
        (b'{"a":NaN}', "is not JSON"),
        (b'{"a":Infinity}', "is not JSON"),
        (b'{"a":1,}', "is not JSON"),
        (b"{'a':1}", "is not JSON"),
        (b'{"a":"\\ud800"}', "is not JSON"),
        (b'{"a":"\x00"}', "is not JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'{"a":' + nested(128) + b"}", "nested deeper"),
    ],
    ids=ascii,
)
def test_stored_texts_that_are_no_object_are_refused(text: bytes, problem: str) -> None:
    """Anything but one strict JSON object is refused, so a stored text can never add fields to a message."""
    with pytest.raises(NotSerialisable, match=problem) as caught:
        check_object(text, "params")
    assert caught.value.path == "params"


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:01eE.-nul\\ ', max_size=40).map(str.encode))
def test_whatever_passes_is_one_object(text: bytes) -> None:
    """For any bytes: what passes decodes to an object, the rest is refused by NotSerialisable alone."""
    try:
        check_object(text, "params")
    except NotSerialisable:
        return
    assert isinstance(msgspec.json.decode(text), dict)
