"""How long an orchestrator may take to stop at the default settings (docs/operations.md, *Signals*)."""

from rrq_protocol import Settings

__all__ = ["DRAIN_S"]

_DEFAULTS = Settings()
# While Redis is away, ends that it does not know yet are kept for so long.
_REDIS_AWAY_S = 10
# A SIGKILL that takes effect slowly, and the rest.
_MARGIN_S = 10

DRAIN_S = (
    _DEFAULTS.worker_shutdown_grace_period_seconds
    + _DEFAULTS.runner_cancel_grace_seconds
    + _DEFAULTS.runner_shutdown_term_grace_seconds
    + _REDIS_AWAY_S
    + _MARGIN_S
)
