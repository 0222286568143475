"""Raw replies are read without losing bytes, and refusals are told from keys of another type."""

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from rrq_orchestrator.audit.batches import LookRefused, raw, refused, seen_in, text, value_of, wrong_type
from rrq_orchestrator.audit.facts import Seen
from rrq_protocol.transitions import Evidence

WRONG = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


@pytest.mark.parametrize("value", [b"plain", b"\xff\xfe", "ключ".encode(), b"\xed\xa0\x80", b""])
def test_every_byte_survives(value: bytes) -> None:
    """What is no UTF-8 can be shown, and sent back as it was."""
    assert raw(text(value)) == value


def test_a_key_of_another_type_counts_as_what_the_caller_says() -> None:
    """Any other refusal is an error that names the command."""
    assert value_of(b"x", ("GET", "k")) == b"x"
    assert value_of(WRONG, ("GET", "k"), wrong_type=None) is None
    with pytest.raises(LookRefused, match="refuses GET"):
        value_of(WRONG, ("GET", "k"))
    with pytest.raises(LookRefused) as caught:
        value_of(NoPermissionError("NOPERM no"), ("SCAN", 0), wrong_type=[])
    assert (caught.value.command, "NOPERM" in caught.value.problem) == ("SCAN", True)
    assert wrong_type(WRONG)
    assert not wrong_type(b"WRONGTYPE")
    assert refused(WRONG)
    assert not refused(b"x")


def test_a_record_is_read_from_its_fields() -> None:
    """Fields that are not there are empty; a key of another type is no record."""
    command = ("HMGET", "k")
    seen = seen_in([b"ACTIVE", b"w", b"3", None, b"dead"], command)
    assert seen == Seen(True, Evidence("ACTIVE", "w", "3"), "", "dead")
    assert seen_in([None] * 5, command) == Seen(True)
    assert seen_in(WRONG, command) is None
