"""Errors of the embedded server."""

import pytest

from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
from rrq_protocol import RRQError


@pytest.mark.parametrize("kind", [EmbeddedServerError, EmbeddedSetupError])
def test_they_are_errors_of_rrq(kind: type[EmbeddedServerError]) -> None:
    """One `except` catches them with all others, and the text is what was said."""
    assert issubclass(kind, RRQError)
    assert str(kind("what to do")) == "what to do"
