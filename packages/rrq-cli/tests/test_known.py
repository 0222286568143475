"""Names nobody knows."""

from rrq_cli.known import unknown_queue


def test_the_nearest_is_named() -> None:
    """A slip of the finger, or of the case, leads to the name that was meant."""
    known = ["default", "media", "Mails"]
    assert unknown_queue("medai", known) == "no queue medai is known; did you mean media?"
    assert unknown_queue("mails", known) == "no queue mails is known; did you mean Mails?"


def test_without_a_near_one_some_are_listed() -> None:
    """A few of the known ones, and nothing where there are none."""
    assert unknown_queue("xyz", ["a", "b"]) == "no queue xyz is known; known are a, b"
    assert unknown_queue("xyz", [*"abcdefg"]) == "no queue xyz is known; known are a, b, c, d, e, …"
    assert unknown_queue("xyz", []) == "no queue xyz is known"
    assert unknown_queue("xyz", ["a", "b" * 99]) == "no queue xyz is known; known are a, …"
