"""Handlers traced with ddtrace itself."""

from support.vendors import DDTRACE


def test_handlers_run_in_their_span() -> None:
    """A child of the orchestrator's, current in coroutines and in threads."""
    DDTRACE.check_handlers()
