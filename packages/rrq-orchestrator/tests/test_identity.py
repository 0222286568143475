"""Ids of orchestrators."""

from rrq_orchestrator.identity import new_orchestrator_id
from rrq_protocol import validate_job_id


def test_an_id_is_never_used_twice_and_fits_into_a_key() -> None:
    """It is a fence by itself, and part of key names and of control requests."""
    ids = {new_orchestrator_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(validate_job_id(each) and " " not in each for each in ids)
