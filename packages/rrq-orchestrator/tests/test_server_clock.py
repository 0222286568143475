"""Steps of the server's clock, told from slow answers and from drift."""

import pytest

from rrq_orchestrator.server_clock import ServerClock


@pytest.mark.parametrize(
    ("server_ms", "asked_s", "answered_s", "expected"),
    [
        (1_060_000, 160.0, 160.1, None),
        (1_059_500, 160.0, 160.1, None),
        (4_660_000, 160.0, 160.1, None),
        (1_030_000, 160.0, 160.1, 1_060_000),
        (-2_540_000, 160.0, 160.1, 1_060_000),
        # The question waited half a minute in a queue; when it was answered is not known.
        (1_030_000, 130.0, 160.0, None),
        (1_060_000, 160.0, 190.0, None),
    ],
)
def test_a_step_back_is_told_from_a_slow_answer(
    server_ms: float, asked_s: float, answered_s: float, expected: float | None
) -> None:
    """By the time it would be; half a second, or a step ahead, is none."""
    clock = ServerClock()
    assert clock.told(1_000_000, 99.0, 100.0) is None
    assert clock.told(server_ms, asked_s, answered_s) == expected
    assert clock.told(server_ms + 1000, answered_s + 1, answered_s + 1) is None


def test_drift_is_no_step() -> None:
    """After a day without a look, two ordinary clocks differ by seconds."""
    clock = ServerClock()
    clock.told(0.0, 0.0, 0.0)
    assert clock.told(86_400_000 - 8_000, 86_400.0, 86_400.0) is None
    assert clock.told(0.0, 86_401.0, 86_401.0) is not None
