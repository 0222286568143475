"""The book of dead letters answers for every id, at eight bytes an entry."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.audit.dlq_book import DlqBook

IDS = st.sampled_from([f"j{n}" for n in range(8)])


@given(st.dictionaries(st.sampled_from("abc"), st.lists(IDS, max_size=20), max_size=3))
def test_it_counts_as_the_lists_do(dlqs: dict[str, list[str]]) -> None:
    """Whatever was added in whatever order, each id is in the DLQs that hold it, as often as they do."""
    book = DlqBook()
    for name, ids in dlqs.items():
        book.add(name, ids[:5])
        book.add(name, ids[5:])
    book.seal()
    for n in range(9):
        found = [(name, Counter(dlqs[name])[f"j{n}"]) for name in sorted(dlqs)]
        assert book.places(f"j{n}") == tuple(each for each in found if each[1])
