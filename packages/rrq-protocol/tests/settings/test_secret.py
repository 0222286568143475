"""Secrets never show themselves."""

from pathlib import Path

import pytest

from rrq_protocol import load_settings
from rrq_protocol.settings import Secret, mask_url
from rrq_protocol.settings.secret import read_dsn_file

CANARY = "canary-pass"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://user:{CANARY}@host:6379/1", "redis://user:***@host:6379/1"),
        (f"rediss://:{CANARY}@host", "rediss://:***@host"),
        (f"redis://{CANARY}@host/0", "redis://:***@host/0"),
        (f"redis://host:6379/0?password={CANARY}", "redis://host:6379/0?***"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        (f"unix:///run/redis.sock?password={CANARY}&db=3", "unix:///run/redis.sock?***&db=3"),
        (f"redis://host/0?db={CANARY}", "redis://host/0?***"),
        (f"redis://host/0?db=3;{CANARY}", "redis://host/0?***"),
        (f"redis://host/0?db=3\n{CANARY}", "redis://host/0?***"),
        (f"redis://user:12/{CANARY}@host:6379/0", "redis://***"),
        (f"redis://user:{CANARY}?x@host", "redis://***"),
        (f"redis://user:{CANARY}#x@host", "redis://***"),
        (f"redis://host/0?password=x@{CANARY}", "redis://***"),
        (CANARY, "***"),
        (f"redis://[{CANARY}@host", "***"),
    ],
)
def test_mask_url(url: str, shown: str) -> None:
    """The password and the query go, what helps to find the server stays, the number of a database too; what
    is no URL, or has an @ where a password may end that was not escaped, goes whole.
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


def test_what_writes_files_adds_to_them(tmp_path: Path) -> None:
    """A mark at the beginning and a line end, of any system, are no part of a DSN, in a variable neither."""
    path = tmp_path / "dsn"
    path.write_bytes(b"\xef\xbb\xbfredis://h:6380/1\r\n")
    assert read_dsn_file(str(path)) == "redis://h:6380/1"
    settings = load_settings(environ={"RRQ_REDIS_DSN": "redis://h:6380/1\n"}, cwd=tmp_path)
    assert settings.redis_dsn.reveal() == "redis://h:6380/1"


def test_several_lines_are_no_dsn(tmp_path: Path) -> None:
    """A comment above it, say; none of them is shown."""
    path = tmp_path / "dsn"
    path.write_text(f"# the queue\nredis://u:{CANARY}@h\n")
    with pytest.raises(ConnectionError, match="several lines") as caught:
        read_dsn_file(str(path))
    assert CANARY not in str(caught.value)
