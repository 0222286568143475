"""The error tree: facts as attributes, texts built from them, one base."""

import copy
import inspect
import pickle

import pytest

from rrq_protocol import errors
from rrq_protocol.errors import (
    EndpointError,
    FrameTooLarge,
    InvalidJob,
    InvalidMessage,
    InvalidName,
    MalformedRecord,
    NotSerialisable,
    PayloadTooLarge,
    ProtocolError,
    RRQError,
    SettingsError,
    shown,
)

EXAMPLES: list[tuple[RRQError, dict[str, object], str]] = [
    (
        InvalidJob("queue_name", "is empty"),
        {"field": "queue_name", "message": "is empty"},
        "queue_name: is empty",
    ),
    (
        PayloadTooLarge(10, 11),
        {"field": "params", "limit_bytes": 10, "size_bytes": 11},
        (
            "params: the payload has 11 bytes, the limit is 10; "
            "store large data elsewhere and send a reference to it"
        ),
    ),
    (InvalidName("queue", "a b"), {"kind": "queue", "value": "a b"}, "'a b' is not a valid queue name"),
    (
        InvalidName("job id", "", "a text"),
        {"kind": "job id", "expected": "a text"},
        "'' is not a valid job id: expected a text",
    ),
    (
        NotSerialisable("params.x", "is nan"),
        {"path": "params.x", "problem": "is nan"},
        "params.x: is nan",
    ),
    (
        MalformedRecord("j1", "max_retries", "expected a number"),
        {"job_id": "j1", "field": "max_retries", "problem": "expected a number"},
        "job 'j1': malformed max_retries: expected a number",
    ),
    (ProtocolError("broken"), {"completed": ()}, "broken"),
    (
        FrameTooLarge(16, 17),
        {"limit_bytes": 16, "announced_bytes": 17, "completed": ()},
        "a frame of 17 bytes is over the limit of 16",
    ),
    (
        InvalidMessage("no type", request_id="r1"),
        {"problem": "no type", "request_id": "r1", "job_id": None, "message_type": None},
        "invalid message: no type",
    ),
    (SettingsError(["a: wrong", "b: wrong"]), {"problems": ("a: wrong", "b: wrong")}, "a: wrong\nb: wrong"),
    (EndpointError("no port"), {}, "no port"),
]


@pytest.mark.parametrize(("error", "facts", "text"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_facts_and_text(error: RRQError, facts: dict[str, object], text: str) -> None:
    """Every error keeps its facts as attributes and builds its text from them."""
    assert {name: getattr(error, name) for name in facts} == facts
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _, _ in EXAMPLES], ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_and_copying(error: RRQError) -> None:
    """An error keeps text and facts when it crosses a process or is copied, as test runners and pools do."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


def test_every_class_is_in_the_tree_and_in_the_drawing() -> None:
    """All errors share one base, are drawn in the module's docstring, and have an example here."""
    classes = {
        each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, Exception)
    }
    assert all(issubclass(value, RRQError) for value in classes)
    assert [value.__name__ for value in classes if value.__name__ not in (errors.__doc__ or "")] == []
    assert classes - {type(error) for error, _, _ in EXAMPLES} == {RRQError}


def test_the_relations_callers_rely_on() -> None:
    """A payload too large is an invalid job; a frame too large breaks the protocol."""
    assert issubclass(PayloadTooLarge, InvalidJob)
    assert issubclass(FrameTooLarge, ProtocolError)
    assert issubclass(InvalidMessage, ProtocolError)


def test_a_protocol_error_carries_what_was_complete() -> None:
    """Whatever was received whole before a violation is not lost."""
    assert ProtocolError("x", completed=[1, 2]).completed == (1, 2)
    assert FrameTooLarge(1, 2, completed=[b"a"]).completed == (b"a",)


@pytest.mark.parametrize("value", ["\x1b[2J", "a\nb", "\u202e", "\ud800", b"\xff"])
def test_shown_escapes_what_a_terminal_or_a_log_would_obey(value: object) -> None:
    """Control characters, bidi overrides, newlines and lone surrogates are shown as escapes."""
    assert shown(value).isascii()
    assert shown(value).isprintable()


def test_shown_cuts_long_values() -> None:
    """A long value is cut and its length told, so that data cannot flood an error text."""
    text = shown("x" * 1_000_000)
    assert len(text) < 120
    assert text.endswith("... (1000002 characters)")


def test_a_problem_of_the_settings_stays_on_its_line() -> None:
    """Line ends and controls inside a problem, as in a name of a file, are written out; other text stays."""
    error = SettingsError(["a\nb\x1b\u2028: no such file", "größer: wrong"])
    assert error.problems == (r"a\nb\x1b\u2028: no such file", "größer: wrong")
    assert str(error).splitlines() == list(error.problems)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/etc/redis:/u:canary@h cannot be read", "/etc/redis:/u:***@h cannot be read"),
        ("got str 'postgres://u:ca/na?ry@h/db'", "got str 'postgres://u:***@h/db'"),
        ("https://canary@h", "https://***@h"),
        ("redis:/u:ca@nary@h/0", "redis:/u:***@h/0"),
        ("redis://h/0?db=1&password=canary&x=1", "redis://h/0?db=1&password=***&x=1"),
        ("a://b:c@d e://f:g@h", "a://b:***@d e://f:***@h"),
        ("write redis://h:6379/0 or unix:///run/x", "write redis://h:6379/0 or unix:///run/x"),
    ],
)
def test_a_problem_of_the_settings_shows_no_password(text: str, told: str) -> None:
    """Not even where a URL came that belongs elsewhere."""
    assert SettingsError([text]).problems == (told,)
