"""Putting right what was found twice: the repairs of findings, carried out (T15)."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from rrq_orchestrator.audit.findings import Finding
from rrq_protocol import Keyspace, ScriptCall
from rrq_protocol.transitions import RepairKind, RepairReply, repair

__all__ = ["Runs", "in_order", "mend", "repairable"]

T = TypeVar("T")
_AT_ONCE = 100
_LAST = frozenset({RepairKind.QUEUED, RepairKind.HELD, RepairKind.BURIED})


class Runs(Protocol):
    """A connection that carries out transitions."""

    async def run(self, call: ScriptCall[T]) -> T:
        """Carry out a transition."""


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that have a repair; entries are added before others are taken out."""
    return sorted(
        (each for each in findings if each.repair is not None),
        key=lambda each: each.repair is not None and each.repair.kind in _LAST,
    )


def repairable(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings to begin with. Counters are made good only when there is nothing else to repair:
    it may be what they miss.
    """
    wanted = [(each, each.repair.kind) for each in findings if each.repair is not None]
    others = [pair for pair in wanted if pair[1] is not RepairKind.COUNTERS]
    return tuple(each for each, _ in others or wanted)


async def mend(
    findings: Sequence[Finding], keyspace: Keyspace, link: Runs
) -> list[tuple[Finding, RepairReply]]:
    """Carry out the repairs of findings that two observations agree on; return what came of each.

    Raises:
        RedisGone: Some may have been carried out. A repair may be repeated.
        RedisRefused: See there.
    """
    wanted = in_order(findings)
    done: list[tuple[Finding, RepairReply]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        page = wanted[start : start + _AT_ONCE]
        repairs = [each.repair for each in page if each.repair is not None]
        done += zip(page, await link.run(repair(keyspace, repairs)), strict=True)
    return done
