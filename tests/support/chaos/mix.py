"""The mix of jobs: pure, from a random source. What a job's end must be is told by its handler's name."""

import random
from collections.abc import Mapping
from typing import Any

import msgspec

from rrq_protocol import Job
from support.chaos.ledger import Attempted

__all__ = ["ENDINGS", "Ending", "choose"]

UNIQUE_KEYS = 8
# Long enough for a machine under load, short enough for many of them in a run.
_TIMEOUT_S = 0.5


class Ending(msgspec.Struct, frozen=True):
    """How jobs of a handler must end.

    Attributes:
        completed: Completed, or else dead-lettered.
        timed_out: It ends at its deadline.
        lethal: It kills its process.
    """

    completed: bool = True
    timed_out: bool = False
    lethal: bool = False


ENDINGS: Mapping[str, Ending] = {
    "quick": Ending(),
    "slow": Ending(),
    "plain": Ending(),
    "flaky": Ending(),
    "doomed": Ending(completed=False),
    "endless": Ending(completed=False, timed_out=True),
    "deaf": Ending(completed=False, timed_out=True),
    "poison": Ending(completed=False, lethal=True),
}
"""By handler."""

_KINDS = {
    "quick": 50.0,
    "deferred": 7.0,
    "unique": 6.0,
    "slow": 16.0,
    "long": 3.0,
    "plain": 6.0,
    "flaky": 7.0,
    "doomed": 3.0,
    "endless": 0.8,
    "deaf": 0.1,
    "poison": 0.1,
}


def choose(rng: random.Random, job_id: str, now_s: float) -> tuple[Attempted, Job]:
    """Return a job of some kind, as it is enqueued and as it is entered in the ledger."""
    (kind,) = rng.choices(list(_KINDS), list(_KINDS.values()))
    function = {"deferred": "quick", "unique": "quick", "long": "slow"}.get(kind, kind)
    fails, defer_s, unique = 0, 0.0, ""
    options: dict[str, Any] = {}
    params: dict[str, Any] = {}
    match kind:
        case "deferred":
            options["defer_by"] = defer_s = round(rng.uniform(0.1, 3.0), 3)
        case "unique":
            options["unique_key"] = unique = f"key-{rng.randrange(UNIQUE_KEYS)}"
        case "slow" | "plain":
            params["seconds"] = round(rng.uniform(0.05, 1.5 if kind == "slow" else 0.3), 3)
        case "long":
            # Longer than a lease: under way twice when its first orchestrator comes back from a pause.
            params["seconds"] = round(rng.uniform(2.0, 4.0), 3)
        case "flaky":
            params["fails"] = fails = rng.randint(1, 3)
        case "doomed":
            options["max_retries"] = fails = rng.randint(1, 3)
        case "endless" | "deaf":
            options["job_timeout_seconds"], fails = _TIMEOUT_S, 1
    job = Job(function, params, job_id=job_id, **options)
    return Attempted(job_id, now_s, function, fails, defer_s, unique), job
