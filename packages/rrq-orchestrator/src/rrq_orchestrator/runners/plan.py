"""How a pool is to work: one runner's settings, and those of the orchestrator that concern it."""

import os
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio

from rrq_orchestrator.runners.endpoints import Endpoints
from rrq_protocol import RunnerConfig

__all__ = ["PoolPlan"]

_STARTS_AT_A_TIME: Final = max(4, 2 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class PoolPlan:
    """Shared by everything in one pool.

    Attributes:
        config: The runner's settings.
        external: Whether somebody else starts the processes.
        capture: Whether output is relayed as log events; else it goes to our stderr.
        connect_timeout_s: Time a process gets to come up and answer.
        term_grace_s: Time between SIGTERM and SIGKILL.
        drain_grace_s: Time the other requests of a quarantined process get.
        endpoints: Where the processes listen.
        random: Source of the backoffs' jitter.
        silent_s: A process with requests that answers no ping for so long gets no new ones; 0: never.
        starting: Limits how many processes come up at a time, so that a big pool does not outrun its timeout.
    """

    config: RunnerConfig
    external: bool
    capture: bool
    connect_timeout_s: float
    term_grace_s: float
    drain_grace_s: float
    endpoints: Endpoints
    random: Random
    silent_s: float = 0.0
    starting: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_STARTS_AT_A_TIME))
