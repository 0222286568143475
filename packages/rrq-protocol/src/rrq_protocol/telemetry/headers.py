"""Which entries of a ``trace_context`` reach a tracing library, and how long they may be (S30).

Whoever can write a job can write its ``trace_context``. So only names that tracing formats use are looked at,
and values beyond what those formats allow are left out.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["ALLOWED_HEADERS", "propagated"]

ALLOWED_HEADERS: Final[Mapping[str, int]] = {
    "traceparent": 128,
    "tracestate": 1024,
    "baggage": 8192,
    "b3": 128,
    "x-b3-traceid": 64,
    "x-b3-spanid": 64,
    "x-b3-parentspanid": 64,
    "x-b3-sampled": 16,
    "x-b3-flags": 16,
    "uber-trace-id": 128,
    "x-amzn-trace-id": 256,
    "x-datadog-trace-id": 64,
    "x-datadog-parent-id": 64,
    "x-datadog-sampling-priority": 16,
    "x-datadog-origin": 128,
    "x-datadog-tags": 1024,
}
"""Names of propagation headers, in lower case, to the characters their values may have."""


def propagated(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the entries that may be handed to a tracing library, or were made by one: names in lower case.

    Values that are too long, or hold anything but printable ASCII, are left out.
    """
    kept: dict[str, str] = {}
    for name, value in (headers or {}).items():
        limit = ALLOWED_HEADERS.get(name.lower(), 0)
        if len(value) <= limit and value.isascii() and value.isprintable():
            kept[name.lower()] = value
    return kept
