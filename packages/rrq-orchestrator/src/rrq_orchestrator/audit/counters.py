"""Whether the counters of all queues add up with the jobs there are, at one instant (I13)."""

from collections.abc import Collection, Mapping

from rrq_orchestrator.audit.batches import Batch, Reading, raw, refused, text
from rrq_orchestrator.audit.facts import whole
from rrq_orchestrator.audit.findings import Finding, Level
from rrq_orchestrator.audit.judge import COUNTED, judge_counters
from rrq_protocol import Keyspace

__all__ = ["counters"]

_DIGITS = 19
"""Redis counts in 64 bits."""


def counters(indexes: Mapping[str, Collection[str]], keyspace: Keyspace) -> Reading[tuple[Finding, ...]]:
    """Add up counters and jobs; without the right to, or with a key of the wrong type, nothing is found.

    Args:
        indexes: The names of the counters (``"stats"``), of queues and of active sets.
        keyspace: The keys.
    """
    totals = [name for name in sorted(indexes["stats"]) if ":" not in name]
    sizes = [keyspace.queue(name) for name in sorted(indexes["queue"])]
    sizes += [keyspace.active(name) for name in sorted(indexes["active"])]
    reading: Batch = [("HGETALL", raw(keyspace.stats(name))) for name in totals]
    reading += [("ZCARD", raw(key)) for key in sizes]
    *_, found = yield [("MULTI",), *reading, ("EXEC",)]
    if not isinstance(found, list) or any(refused(each) for each in found):
        return ()
    sums: dict[str, int] = dict.fromkeys(COUNTED, 0)
    spoilt: list[Finding] = []
    lost = ""
    for name, flat in zip(totals, found, strict=False):
        given = {text(field): text(number) for field, number in zip(flat[::2], flat[1::2], strict=True)}
        lost = given.get("lost", "") if name == "default" else lost
        for field in sums.keys() & given.keys():
            number = whole(given[field].removeprefix("-"), _DIGITS)
            if number is None:
                spoilt.append(_spoilt(keyspace.stats(name), field, given[field]))
            else:
                sums[field] += -number if given[field].startswith("-") else number
    return tuple(spoilt) or tuple(judge_counters(sums, sum(found[len(totals) :]), keyspace, lost))


def _spoilt(key: str, field: str, found: str) -> Finding:
    return Finding(
        rule="I13", key=key, expected=f"a whole number as counter {field}", found=f"{found!a:.40}",
        level=Level.WARNING,
    )  # fmt: skip
