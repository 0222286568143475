"""Secrets never show themselves."""

import pytest

from rrq_protocol.settings import Secret, mask_url

CANARY = "canary-pass"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://user:{CANARY}@host:6379/1", "redis://user:***@host:6379/1"),
        (f"rediss://:{CANARY}@host", "rediss://:***@host"),
        (f"redis://{CANARY}@host/0", "redis://:***@host/0"),
        (f"redis://host:6379/0?password={CANARY}", "redis://host:6379/0?***"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        (f"redis://user:12/{CANARY}@host:6379/0", "redis://***"),
        (f"redis://user:{CANARY}?x@host", "redis://***"),
        (f"redis://user:{CANARY}#x@host", "redis://***"),
        (f"redis://host/0?password=x@{CANARY}", "redis://***"),
        (CANARY, "***"),
        (f"redis://[{CANARY}@host", "***"),
    ],
)
def test_mask_url(url: str, shown: str) -> None:
    """The password and the query go, what helps to find the server stays; what is no URL, or has an @ where a
    password may end that was not escaped, goes whole.
    """
    assert mask_url(url) == shown


def test_no_form_shows_the_text() -> None:
    """str, repr, format and containers show the masked form; only reveal() gives the text out."""
    secret = Secret(f"redis://u:{CANARY}@h")
    for text in (str(secret), repr(secret), f"{secret}", f"{secret!r:>60}", repr([secret]), "%s" % secret):  # noqa: UP031
        assert CANARY not in text
        assert "***" in text
    assert secret.reveal() == f"redis://u:{CANARY}@h"


def test_equality_is_by_text() -> None:
    """Equal texts are equal secrets with one hash; a secret never equals a plain text."""
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
