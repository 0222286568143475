"""Ids of orchestrators."""

import pytest

from rrq_orchestrator.identity import PARENT_VARIABLE, is_of_family, new_orchestrator_id
from rrq_protocol import validate_job_id


def test_an_id_is_never_used_twice_and_fits_into_a_key() -> None:
    """It is a fence by itself, and part of key names and of control requests."""
    ids = {new_orchestrator_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(validate_job_id(each) and " " not in each for each in ids)


def test_a_parent_knows_the_ids_of_its_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them carry its token, and are of the usual form and still unique."""
    stranger = new_orchestrator_id()
    monkeypatch.setenv(PARENT_VARIABLE, "4711:00112233445566ff")
    ids = {new_orchestrator_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(is_of_family(each, "00112233445566ff") and len(each) == len(stranger) for each in ids)
    assert not is_of_family(stranger, "00112233445566ff")
    assert not is_of_family(stranger, "")
