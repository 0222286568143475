"""The orchestrator's errors say what happened and what to do."""

from rrq_orchestrator.errors import Fenced, OrchestratorError, RedisGone, RedisRefused
from rrq_protocol import RRQError


def test_one_tree() -> None:
    """Whoever catches RRQError catches them all."""
    assert issubclass(OrchestratorError, RRQError)
    assert all(issubclass(each, OrchestratorError) for each in (RedisGone, RedisRefused, Fenced))


def test_a_refusal_names_what_to_check() -> None:
    """Waiting does not help, so the text says what does."""
    error = RedisRefused("host:1", "WRONGPASS no.")
    assert "host:1" in str(error)
    assert "no; check redis_dsn" in str(error)
    assert (error.address, error.problem) == ("host:1", "WRONGPASS no.")


def test_facts_are_fields() -> None:
    """Nobody has to take a text apart."""
    assert RedisGone("host:1", "refused").problem == "refused"
    assert Fenced("o1").orchestrator_id == "o1"
