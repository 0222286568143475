"""The building blocks of the model carry meaning, kind and range."""

from typing import get_args

from rrq_protocol.settings.fields import ByteSize, Seconds, doc


def test_doc_carries_meaning_and_default() -> None:
    """The description goes to the reference; the worded default only where one is given."""
    assert doc("Text.").description == "Text."
    assert doc("Text.").extra is None
    assert doc("Text.", default="CPU count").extra == {"default": "CPU count"}


def test_kinds() -> None:
    """The parser tells durations and sizes from plain numbers by their kind."""
    assert get_args(Seconds)[1].extra == {"kind": "duration"}
    assert get_args(ByteSize)[1].extra == {"kind": "size"}
