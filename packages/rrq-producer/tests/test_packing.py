"""Packing commands."""

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from rrq_producer.packing import pack

VALUES = st.one_of(st.text(), st.binary(), st.integers(), st.floats(allow_nan=False))


@given(st.lists(VALUES, min_size=1))
def test_a_packed_command_is_read_as_it_was(values: list[str | bytes | int | float]) -> None:
    """A Redis parser reads from a packed command the bytes of each argument, whatever they are."""
    reader = hiredis.Reader()
    reader.feed(pack(values))
    expected = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    assert reader.gets() == expected
    assert reader.gets() is False


def test_texts_of_any_length_are_packed_alike() -> None:
    """A length is that of the bytes, not of the characters."""
    for size in (0, 1, 63, 64, 65, 5000):
        text = "é" * size
        assert pack((text,)) == b"*1\r\n$%d\r\n%b\r\n" % (2 * size, text.encode())
