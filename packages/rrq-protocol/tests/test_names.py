"""Names of queues, jobs and functions are checked once, where they enter (RELIABILITY.md S24)."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.errors import InvalidName
from rrq_protocol.names import (
    split_function_name,
    validate_function_name,
    validate_job_id,
    validate_queue_name,
)

HOSTILE = [
    "",
    " ",
    "a b",
    "a\n",
    "\na",
    "a\0b",
    "*",
    "a/b",
    "a{1}",
    "ä",
    "\N{FULLWIDTH LATIN SMALL LETTER A}",
    "\N{PILE OF POO}",
    "\ud800",
    "a" * 129,
    None,
    1,
    b"a",
]


@pytest.mark.parametrize("validate", [validate_queue_name, validate_job_id])
@pytest.mark.parametrize("name", ["a", "A-Z_0.9", "..", "-", "a" * 128])
def test_names_within_the_rules_are_returned(validate: Callable[[object], str], name: str) -> None:
    """A name of 1 to 128 allowed characters comes back as it was."""
    assert validate(name) == name


@pytest.mark.parametrize("validate", [validate_queue_name, validate_job_id])
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_outside_the_rules_are_refused(validate: Callable[[object], str], name: object) -> None:
    """Separators, globs, control characters, lookalikes, wrong lengths and types: refused, with the rule."""
    with pytest.raises(InvalidName, match="1 to 128 characters out of"):
        validate(name)


def test_a_colon_is_for_job_ids_only() -> None:
    """A queue cannot be named like a Redis key; a job id may hold a colon."""
    assert validate_job_id("tenant:7") == "tenant:7"
    with pytest.raises(InvalidName) as caught:
        validate_queue_name("rrq:queue:default")
    assert (caught.value.kind, caught.value.value) == ("queue", "rrq:queue:default")


@given(st.text(max_size=140))
def test_exactly_the_documented_names_pass(name: str) -> None:
    """For any text, the answer is that of the documented pattern."""
    for validate, pattern in (
        (validate_queue_name, r"[A-Za-z0-9._-]{1,128}\Z"),
        (validate_job_id, r"[A-Za-z0-9._:-]{1,128}\Z"),
    ):
        try:
            accepted = validate(name) == name
        except InvalidName:
            accepted = False
        assert accepted == (re.match(pattern, name) is not None)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("send_email", (None, "send_email")),
        ("python#send_email", ("python", "send_email")),
        ("rust#a#b", ("rust", "a#b")),
        ("pkg.module:function", (None, "pkg.module:function")),
        ("a b", (None, "a b")),
        ("größe", (None, "größe")),
        ("x" * 256, (None, "x" * 256)),
    ],
)
def test_function_names_are_split_at_the_first_hash(name: str, parts: tuple[str | None, str]) -> None:
    """The runner stands before the first hash sign; the handler's name is free text."""
    assert split_function_name(name) == parts
    assert validate_function_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "x" * 257,
        "a\tb",
        "a\n",
        "a\0",
        "\x1b[2J",
        "a\u200b",
        "\u202ea",
        "\ud800",
        "#",
        "#a",
        "a#",
        "a# ",
        None,
        7,
    ],
    ids=ascii,
)
def test_bad_function_names_are_refused(name: object) -> None:
    """Unprintable, blank, overlong names and empty parts are refused."""
    for check in (split_function_name, validate_function_name):
        with pytest.raises(InvalidName) as caught:
            check(name)
        assert caught.value.kind == "function"


def test_a_bad_runner_prefix_is_named_as_such() -> None:
    """A prefix that can be no runner's name is refused as a runner name."""
    with pytest.raises(InvalidName) as caught:
        split_function_name("my runner#a")
    assert (caught.value.kind, caught.value.value) == ("runner", "my runner")


@given(st.text(max_size=300))
def test_splitting_never_fails_otherwise(name: str) -> None:
    """For any text, splitting gives parts that join to the name, or an InvalidName."""
    try:
        runner, handler = split_function_name(name)
    except InvalidName:
        return
    assert (handler if runner is None else f"{runner}#{handler}") == name
