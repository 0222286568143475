"""The spans of a job in ddtrace itself."""

import pytest

from support.vendors import DDTRACE


@pytest.mark.parametrize("lowest", [False, True], ids=["newest", "lowest"])
def test_a_job_is_one_trace(lowest: bool) -> None:
    """Enqueue, two attempts and the handler hang together; the retry links to the attempt before it."""
    DDTRACE.check_one_trace(lowest=lowest)


def test_spans_are_described() -> None:
    """Service, status, error and attributes, in the library's own terms."""
    DDTRACE.check_descriptions()
