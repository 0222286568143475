"""Handlers traced with logfire itself."""

from support.vendors import LOGFIRE


def test_handlers_run_in_their_span() -> None:
    """A child of the orchestrator's, current in coroutines and in threads."""
    LOGFIRE.check_handlers()
