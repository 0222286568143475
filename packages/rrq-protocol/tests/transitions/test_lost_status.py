"""Attempts whose record lost its status to a stranger: their ends and their recovery."""

import pytest

from rrq_protocol.transitions import SettleKind, Settlement, SettleReply
from support.audit import read_keys
from support.transitions import Transitions

OK, ALREADY, STALE = SettleReply.OK, SettleReply.ALREADY, SettleReply.STALE


@pytest.mark.parametrize("kind", list(SettleKind))
def test_an_end_is_written_though_the_status_is_gone(t: Transitions, kind: SettleKind) -> None:
    """A record that names owner and token is the owner's: its end is written, everything adds up again, and a
    repeat changes nothing (I6, I16).
    """
    job = t.start("j", unique_key="u")
    t.client.hdel(t.keyspace.job("j"), "status")
    assert t.end(job, kind) is OK
    assert t.held() == []
    assert t.audit() == ()
    before = read_keys(t.client, t.keyspace)
    assert t.end(job, kind) is ALREADY
    assert read_keys(t.client, t.keyspace) == before


@pytest.mark.parametrize("kind", list(SettleKind))
def test_an_end_is_written_once_though_the_status_is_gone(damaged: Transitions, kind: SettleKind) -> None:
    """Where the status goes after the end, or twice in one call, the repeat of it is no end (I16)."""
    t = damaged
    job = t.start("j")
    t.client.hdel(t.keyspace.job("j"), "status")
    settlement = Settlement("j", job.claim_seq, kind, "default", "null", started=job.started)
    assert t.settle(settlement, settlement) == (OK, ALREADY)
    t.client.hdel(t.keyspace.job("j"), "status")
    before = read_keys(t.client, t.keyspace)
    assert t.settle(settlement) == (ALREADY,)
    assert read_keys(t.client, t.keyspace) == before


def test_without_a_status_owner_and_token_count_all_the_same(damaged: Transitions) -> None:
    """Another owner's record, another claim's and another time's are left alone (I6)."""
    t = damaged
    job = t.start("j")
    t.register("b")
    t.client.hdel(t.keyspace.job("j"), "status")
    for settlement, owner in (
        (Settlement("j", job.claim_seq, SettleKind.COMPLETE, "default"), "b"),
        (Settlement("j", job.claim_seq + 1, SettleKind.COMPLETE, "default"), "a"),
        (Settlement("j", job.claim_seq, SettleKind.COMPLETE, "default", started="then"), "a"),
    ):
        assert t.settle(settlement, orchestrator=owner) == (STALE,)
    assert "status" not in t.record("j")
    assert t.held() == ["j"]


def test_a_job_whose_status_is_gone_is_taken_back(t: Transitions) -> None:
    """It names the dead one and is in its set, so nobody ended it."""
    t.start("j")
    t.client.hdel(t.keyspace.job("j"), "status")
    t.fence("a")
    assert t.recover("a").recovered == 1
    assert (t.record("j")["status"], t.queued()) == ("PENDING", ["j"])
