"""Health on 80 columns."""

from collections.abc import Callable

from rrq_cli.shapes import Health, OrchestratorInfo
from rrq_cli.views.health import show_health
from support.cli import HOSTILE


def test_orchestrators_and_findings(shown_at_80: Callable[..., str]) -> None:
    """Redis, a line per orchestrator, then what is wrong; hostile reports are harmless."""
    health = Health(
        healthy=False,
        redis="redis://localhost:6379/0",
        redis_version="Redis 7.4.1",
        ping_ms=0.31,
        findings=["no live orchestrator"],
        orchestrators=[
            OrchestratorInfo(
                id="rrq_worker_h_1_" + "a" * 32, state="lapsed", lease_seconds_left=-12.0, active_jobs=3
            ),
            OrchestratorInfo(
                id=HOSTILE, state="reaping", queues=[HOSTILE], host=HOSTILE, pid=1, problem=HOSTILE
            ),
        ],
    )
    text = shown_at_80(show_health, health)
    assert text.startswith("Redis 7.4.1 at redis://localhost:6379/0, answers in 0.3 ms\n")
    assert "12.0 s ago" in text
    assert "✗ no live orchestrator" in text
    assert "✓" not in text
    assert {char for char in text if not char.isprintable()} == {"\n"}


def test_healthy_is_said(shown_at_80: Callable[..., str]) -> None:
    """A live orchestrator and nothing else is healthy."""
    health = Health(healthy=True, redis="r", redis_version="v", ping_ms=1)
    health.orchestrators = [OrchestratorInfo(id="w", state="live", lease_seconds_left=8.0, queues=["a", "b"])]
    lines = shown_at_80(show_health, health).splitlines()
    assert lines[4].split() == ["w", "live", "8.0", "s", "0", "a,", "b"]
    assert lines[-1] == "✓ healthy"
