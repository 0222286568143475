"""What is told about a handler's exception is bounded and never fails itself (F76)."""

import json
from json import JSONDecodeError
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol import ExecutionOutcome, ResponseMessage, encode_frame
from rrq_runner.failures import (
    MAX_MESSAGE_BYTES,
    MAX_TRACEBACK_CHARS,
    bounded_message,
    describe,
    location,
    type_name,
)


class Mute(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise SystemExit(1)


def raised(error: BaseException) -> BaseException:
    """Return ``error`` with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is the one just raised
        return caught


def test_message_type_and_traceback_are_told() -> None:
    """The exception's own text is the message; the traceback ends where it was raised."""
    described = describe(raised(ValueError("too blue")))
    assert (described.message, described.type) == ("too blue", "ValueError")
    assert "raise error" in described.details["traceback"]
    assert described.details["traceback"].endswith("ValueError: too blue")


def test_a_silent_exception_is_named_by_its_class() -> None:
    """An empty text says nothing, the class does."""
    assert describe(KeyError()).message == "KeyError"
    assert describe(Mute()).type == f"{__name__}.Mute"


def test_an_exception_without_a_text_is_described_all_the_same() -> None:
    """A ``__str__`` that raises, even SystemExit, does not get through."""
    assert "its __str__ raised SystemExit" in describe(raised(Mute())).message


@pytest.mark.parametrize("character", ["x", "é", "\ud800", "🂡"])
def test_a_huge_message_is_cut_with_a_marker(character: str) -> None:
    """10 MiB of text leave 64 KiB that say how much there was, and the response can be encoded."""
    described = describe(ValueError(character * 10 * 1024 * 1024))
    assert len(described.message.encode()) <= MAX_MESSAGE_BYTES
    assert described.message.endswith("[cut; the message has 10485760 characters]")
    outcome = ExecutionOutcome.failure("j", "r", described.message, details=described.details)
    assert encode_frame(ResponseMessage(outcome))


@given(st.text(st.characters()))
def test_messages_are_always_valid_text(text: str) -> None:
    """Lone surrogates are escaped, everything else is kept."""
    cleaned = bounded_message(text)
    assert msgspec.json.decode(msgspec.json.encode(cleaned)) == cleaned
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert cleaned == text


def test_causes_are_told_and_cycles_end() -> None:
    """A chain is told from its cause on; one that bites its own tail is told once."""
    cause = raised(KeyError("inner"))
    error = ValueError("outer")
    error.__cause__ = cause
    cause.__cause__ = error
    text = describe(error).details["traceback"]
    assert text.index("inner") < text.index("led to:") < text.index("outer")
    assert text.count("outer") == 1


def test_deep_recursion_gives_a_bounded_traceback() -> None:
    """A thousand frames are not a thousand lines."""

    def forever() -> None:
        forever()

    with pytest.raises(RecursionError) as caught:
        forever()
    described = describe(caught.value)
    assert described.type == "RecursionError"
    assert len(described.details["traceback"]) <= MAX_TRACEBACK_CHARS + 10


def test_types_of_libraries_are_told_with_their_module() -> None:
    """Two libraries may have an exception of the same name."""
    assert type_name(msgspec.ValidationError()) == "msgspec.ValidationError"
    assert type_name(OSError()) == "OSError"


def test_the_location_prefers_the_readers_own_files() -> None:
    """The line inside the given folder is told rather than the innermost one."""
    with pytest.raises(JSONDecodeError) as caught:
        json.loads("{")
    assert location(caught.value, inside=Path(__file__).name).startswith(__file__)
    assert "decoder.py:" in location(caught.value)
    assert location(ValueError()) == ""
    assert location(SyntaxError("bad", ("f.py", 3, 1, "x"))) == "f.py:3"
