"""Text fit for logs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.log_text import Masker, credentials_of, cut, escape

CANARY = 'c4n4ry/p@ss:w"ö rd'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße, 山 🎉", "Grüße, 山 🎉"),
        ("a\tb", "a\tb"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\nb\r", r"a\nb\r"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_tricks_become_visible(text: str, shown: str) -> None:
    """Controls, bidirectional and invisible characters are escapes; every script stays readable."""
    assert escape(text) == shown


@given(st.text())
def test_nothing_steers_a_terminal(text: str) -> None:
    """Whatever comes in, no control character but a tab comes out, and it can be encoded."""
    shown = escape(text)
    shown.encode()
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown.replace("\t", ""))
    assert escape(shown) == shown


def test_long_values_are_cut_and_counted() -> None:
    """The limit itself is fine; beyond it the rest is counted."""
    assert cut("abc", 3) == "abc"
    assert cut("abcde", 3) == "abc… (2 more characters)"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://localhost", set()),
        ("redis://:pw@host", {"pw"}),
        ("rediss://user:p%40w@host:6379/0", {"p%40w", "p@w"}),
        ("redis://[broken", set()),
    ],
)
def test_the_password_of_a_url(url: str, found: set[str]) -> None:
    """As written and as meant."""
    assert set(credentials_of(url)) == found


def test_a_known_secret_is_masked_in_every_form() -> None:
    """Plain, in a URL, as JSON, escaped: no form of it passes."""
    mask = Masker([CANARY])
    forms = [CANARY, json.dumps(CANARY), json.dumps({"a": [repr(CANARY)]}), ascii(CANARY), escape(CANARY)]
    for form in forms:
        masked = mask(f"before {form} after")
        assert "***" in masked
        assert "c4n4ry" not in masked
        assert masked.startswith("before ")
        assert masked.endswith(" after")


def test_passwords_in_urls_are_masked_unasked() -> None:
    """Somebody else's credentials, of any length, are no one's to read; the rest of the URL stays."""
    assert Masker()("to redis://me:a@h:1/0 and amqp://:bb@h.") == "to redis://me:***@h:1/0 and amqp://:***@h."
    assert Masker()("http://example.invalid:80/a@b") == "http://example.invalid:80/a@b"


def test_a_short_secret_does_not_wreck_ordinary_words() -> None:
    """A password such as `info` must not blank half of every line."""
    assert Masker(["info"])('"level": "info"') == '"level": "info"'
