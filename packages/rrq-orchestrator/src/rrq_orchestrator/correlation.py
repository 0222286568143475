"""Values taken from a job's parameters, to be found again in logs and traces. Pure.

The setting ``correlation_mappings`` names them. There are bounds, because whoever can write a job chooses its
parameters: those of more than a mebibyte are not read, only texts, numbers and truth values are taken, and
texts are cut.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from rrq_protocol.transitions import ClaimedJob

__all__ = ["MAX_PARAMS_BYTES", "MAX_VALUE_CHARS", "correlating", "value_at"]

MAX_PARAMS_BYTES = 1024 * 1024
MAX_VALUE_CHARS = 256


def correlating(mappings: Mapping[str, str]) -> Callable[[ClaimedJob], ClaimedJob] | None:
    """Return what adds the mapped values to the correlation context of a job; None without mappings.

    What the producer has put there itself stays.

    Args:
        mappings: Name to dotted path, such as ``{"order_id": "order.id"}``; a number in a path is a position
            in a list.
    """
    if not mappings:
        return None
    return partial(_correlated, tuple((name, tuple(path.split("."))) for name, path in mappings.items()))


def value_at(params: Any, path: tuple[str, ...]) -> str | None:
    """Return the value at a path as text, None where there is none that can be taken."""
    value = params
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)[:MAX_VALUE_CHARS]
        case _:
            return None


def _correlated(paths: tuple[tuple[str, tuple[str, ...]], ...], job: ClaimedJob) -> ClaimedJob:
    if len(job.params) > MAX_PARAMS_BYTES:
        return job
    params = msgspec.json.decode(job.params)
    found = {name: value for name, path in paths if (value := value_at(params, path)) is not None}
    if not found:
        return job
    return msgspec.structs.replace(job, correlation_context={**found, **(job.correlation_context or {})})
