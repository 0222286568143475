"""Only propagation headers reach a tracing library."""

from rrq_protocol.telemetry import ALLOWED_HEADERS, propagated


def test_unknown_names_are_left_out() -> None:
    """A trace context may hold anything; what is no propagation header stays behind. Case does not matter."""
    given = {"Traceparent": "00-1", "authorization": "secret", "x-datadog-trace-id": "7", "": "x"}
    assert propagated(given) == {"traceparent": "00-1", "x-datadog-trace-id": "7"}
    assert propagated(None) == {}


def test_values_are_bounded() -> None:
    """Values beyond what a format allows, and those that could end a header, are left out."""
    for name, limit in ALLOWED_HEADERS.items():
        assert propagated({name: "a" * limit}) == {name: "a" * limit}
        for bad in ("a" * (limit + 1), "a\r\nb", "ä", "a\0"):
            assert propagated({name: bad}) == {}
