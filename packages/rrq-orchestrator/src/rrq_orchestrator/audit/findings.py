"""What the auditor says: findings as data (RELIABILITY.md 2.3)."""

from enum import StrEnum

import msgspec

from rrq_protocol.transitions import Evidence, Repair

__all__ = ["Finding", "Identity", "Level", "Report", "Tally"]


class Level(StrEnum):
    """How bad it is.

    ``ERROR``: jobs are stuck, doubled or will be, or the server cannot serve. ``WARNING``: somebody should
    look: jobs may have been lost, or may be. ``INFO``: could not be looked at. ``OK``: looked at, and fine.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    OK = "ok"


Identity = tuple[str, str, str | None, Evidence, str, str, str]
"""What makes two findings the same: see :attr:`Finding.identity`."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. Texts may hold anything; escape them before a person sees them.

    Attributes:
        rule: The invariant that does not hold (``"I1"``), or ``"F40"`` for a key of the wrong type.
        key: The key at which it shows.
        expected: What should be there.
        found: What is there; the same for as long as the fault is.
        job_id: The job concerned, if one is.
        evidence: Its record as it was seen.
        repair: What puts it right; None where a person has to look.
        level: How bad it is.
    """

    rule: str
    key: str
    expected: str
    found: str
    job_id: str | None = None
    evidence: Evidence = Evidence()
    repair: Repair | None = None
    level: Level = Level.ERROR

    @property
    def problem(self) -> str:
        """What was expected and what is there, in one sentence."""
        return f"expected {self.expected}, found {self.found}"

    @property
    def identity(self) -> Identity:
        """What has to be alike in two observations for the second to confirm the first (T15)."""
        kind, place = (self.repair.kind.value, self.repair.place) if self.repair else ("", "")
        return (self.rule, self.key, self.job_id, self.evidence, self.found, kind, place)


class Report(msgspec.Struct, frozen=True):
    """The outcome of a look at everything.

    Attributes:
        findings: What is wrong, at most as many as were asked for.
        left_out: How many more there are.
        keys: Keys of the key space.
        jobs: Job records among them.
    """

    findings: tuple[Finding, ...]
    left_out: int
    keys: int
    jobs: int


class Tally:
    """Gathers findings, each once, and no more than ``most``; ``left_out`` counts the others."""

    def __init__(self, most: int) -> None:
        self.left_out = 0
        self._most = most
        self._found: dict[Identity, Finding] = {}

    def add(self, finding: Finding) -> None:
        """Note a finding."""
        if len(self._found) < self._most or finding.identity in self._found:
            self._found[finding.identity] = finding
        else:
            self.left_out += 1

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that were kept, in the order they came."""
        return tuple(self._found.values())
