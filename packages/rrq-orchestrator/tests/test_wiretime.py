"""Instants on the wire."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.wiretime import InstantFormatter


@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=20))
def test_the_text_reads_back_as_the_same_instant(instants: list[int]) -> None:
    """Whatever order seconds come in, the cached one is never used for another."""
    text_of = InstantFormatter()
    for epoch_ms in instants:
        read = datetime.fromisoformat(text_of(epoch_ms))
        assert read == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)
