"""Values of the parameters that are to be found again in logs and traces."""

import msgspec
import pytest

from rrq_orchestrator.correlation import MAX_PARAMS_BYTES, MAX_VALUE_CHARS, correlating, value_at
from support.orchestrating import claimed

PARAMS = {"order": {"id": 7, "lines": [{"sku": "a"}]}, "ok": True, "part": 1.5, "none": None, "name": "é"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("order.id", "7"),
        ("order.lines.0.sku", "a"),
        ("ok", "true"),
        ("part", "1.5"),
        ("name", "é"),
        ("none", None),
        ("order", None),
        ("order.lines", None),
        ("order.lines.1.sku", None),
        ("order.lines.-1.sku", None),
        ("order.lines.²", None),
        ("order.lines.99999999999999", None),
        ("order.id.more", None),
        ("missing.id", None),
    ],
)
def test_a_path_leads_to_a_plain_value(path: str, value: str | None) -> None:
    """Through tables, and lists by position; what is no text, number or truth value is not taken."""
    assert value_at(PARAMS, tuple(path.split("."))) == value


def test_long_texts_are_cut() -> None:
    """A label is no place for a document."""
    assert value_at({"a": "x" * 1000}, ("a",)) == "x" * MAX_VALUE_CHARS


def test_without_mappings_there_is_nothing_to_call() -> None:
    """Who has configured nothing pays nothing."""
    assert correlating({}) is None


def test_values_join_what_the_producer_gave() -> None:
    """The producer's own value of a name stays."""
    correlate = correlating({"order": "order.id", "name": "name", "no": "missing"})
    assert correlate is not None
    job = claimed(params=msgspec.Raw(msgspec.json.encode(PARAMS)), correlation_context={"name": "given"})
    assert correlate(job).correlation_context == {"order": "7", "name": "given"}


def test_a_job_without_the_values_is_left_as_it_is() -> None:
    """Nor are parameters read that are too large for it."""
    correlate = correlating({"order": "order.id"})
    assert correlate is not None
    assert (plain := correlate(claimed())).correlation_context is None
    assert plain == claimed()
    large = msgspec.json.encode({"order": {"id": 7}, "pad": "x" * MAX_PARAMS_BYTES})
    assert correlate(claimed(params=msgspec.Raw(large))).correlation_context is None
