"""Why an orchestrator takes no jobs."""

import pytest
from msgspec.structs import replace

from rrq_orchestrator.http.facts import Facts, RunnerFacts
from rrq_orchestrator.http.readiness import unready_reasons

WELL = Facts(version="1", runners=(RunnerFacts("python", "ready"),))
BROKEN = RunnerFacts("python", "broken", last_error="exited with 1: SyntaxError")


def test_nothing_wrong_is_ready() -> None:
    """No reasons."""
    assert unready_reasons(WELL) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stopping": True}, "stopping"),
        ({"failing": ("claim",)}, "service claim fails"),
        ({"redis_connected": False, "registered": False}, "Redis does not answer"),
        ({"redis_connected": False, "redis_refuses_writes": True}, "Redis refuses writes"),
        ({"registered": False}, "not registered"),
        (
            {"redis_refuses": "claim: NOPERM", "registered": False},
            "Redis refuses what jobs need: claim: NOPERM",
        ),
        ({"redis_refuses": "claim: NOPERM", "redis_connected": False}, "Redis does not answer"),
        ({"outbox_full": True, "outbox": 10_000}, "10000 ends of attempts wait"),
        (
            {"outbox_full": True, "outbox": 70, "outbox_bytes": 70 * 1024**2},
            "70 ends of attempts wait for Redis, 70 MiB",
        ),
        ({"runners": ()}, "no runner is configured"),
        ({"runners": (BROKEN,)}, "runner python is broken: exited with 1: SyntaxError"),
        ({"runners": (RunnerFacts("python", "starting"),)}, "runner python is starting"),
    ],
)
def test_each_reason_is_told_once(change: dict[str, object], reason: str) -> None:
    """In words that say what is wrong."""
    (said,) = unready_reasons(replace(WELL, **change))
    assert said.startswith(reason)


def test_one_runner_that_works_is_enough() -> None:
    """Jobs of the other one wait in their queue."""
    assert unready_reasons(replace(WELL, runners=(BROKEN, RunnerFacts("rust", "ready")))) == []
