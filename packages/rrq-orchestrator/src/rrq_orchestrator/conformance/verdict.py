"""What a check is, and what comes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from rrq_orchestrator.conformance.bench import Bench

__all__ = [
    "ALL",
    "SOCKETS",
    "STDIO",
    "Check",
    "Finding",
    "Kind",
    "Level",
    "Outcome",
    "Verdict",
    "Violation",
    "conforms",
]

Kind: TypeAlias = Literal["unix", "tcp", "stdio"]
"""The transport of a run."""

SOCKETS: Final[frozenset[Kind]] = frozenset({"unix", "tcp"})
STDIO: Final[frozenset[Kind]] = frozenset({"stdio"})
ALL: Final = SOCKETS | STDIO


class Level(StrEnum):
    """How much a check weighs: without ``must`` jobs are lost or hang, ``should`` is what good runners do."""

    MUST = "must"
    SHOULD = "should"


class Verdict(StrEnum):
    """How a check ended. ``note`` is a finding of a check that only should pass."""

    PASS = "pass"  # noqa: S105 - a word, and no password
    FAIL = "fail"
    NOTE = "note"


class Finding(Exception):
    """The runner did something else than expected; the text says what was expected and what came."""


class Violation(Finding):
    """A finding that counts, in a check that only should pass, too."""


@dataclass(frozen=True)
class Check:
    """One requirement and how it is tried.

    Attributes:
        name: Short, for ``--check``.
        requirement: What the runner has to do, one line.
        run: Tries it. Returns a remark for the table, or None. Raises :class:`Finding`.
        level: See :class:`Level`.
        transports: Where it can be tried.
        needed: Whether the others need not be tried if it fails.
    """

    name: str
    requirement: str
    run: Callable[["Bench"], Awaitable[str | None]]
    level: Level = Level.MUST
    transports: frozenset[Kind] = ALL
    needed: bool = False


@dataclass(frozen=True)
class Outcome:
    """How one check ended.

    Attributes:
        detail: A remark, or what was found.
        sent, received: The last bytes of the connection the check used last, if something was found.
        said: The last lines the runner printed, if something was found.
    """

    check: Check
    verdict: Verdict
    detail: str = ""
    sent: bytes = b""
    received: bytes = b""
    said: tuple[str, ...] = ()


def conforms(outcomes: "list[Outcome]") -> bool:
    """Return True if something was tried, and nothing that must pass failed."""
    return bool(outcomes) and all(outcome.verdict is not Verdict.FAIL for outcome in outcomes)
