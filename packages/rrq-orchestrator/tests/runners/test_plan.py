"""A pool's plan is one immutable value."""

import dataclasses
from random import Random

import pytest

from rrq_orchestrator.runners.endpoints import Endpoints
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_protocol import RunnerConfig

pytestmark = pytest.mark.anyio


async def test_a_plan_does_not_change() -> None:
    """Fields cannot be set, and some processes may come up at the same time."""
    config = RunnerConfig(cmd=("x",))
    endpoints = Endpoints("fake", config, external=False)
    plan = PoolPlan(config, False, True, 1.0, 1.0, 1.0, endpoints, Random(1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.capture = False  # type: ignore[misc]
    assert plan.starting.total_tokens >= 4
