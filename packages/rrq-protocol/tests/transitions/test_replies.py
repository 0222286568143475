"""Shapes of replies."""

from rrq_protocol.transitions.replies import as_list, as_text, now_arg


def test_texts_are_read_from_bytes_and_text() -> None:
    """A client that decodes replies itself, and one that does not, give the same; bad bytes are replaced."""
    assert [as_text(each) for each in (b"ok", "ok", b"\xff", 5)] == ["ok", "ok", "\ufffd", "5"]


def test_lists_pass_through() -> None:
    """An array reply is handed on as it came."""
    assert as_list([1, b"a"]) == [1, b"a"]


def test_no_time_is_the_servers() -> None:
    """The scripts take an empty time for their own clock."""
    assert (now_arg(None), now_arg(0), now_arg(5)) == ("", 0, 5)
