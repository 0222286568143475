"""Jobs that wait, judged as their claim will judge them."""

from typing import Any

import pytest

from rrq_orchestrator.audit import Look, Rules
from support.audit import look_with
from support.transitions import Transitions

BAD: dict[str, str] = {
    "max_retries": "lots",
    "job_timeout_seconds": "inf",
    "result_ttl_seconds": "-5",
    "enqueue_time": "yesterday",
    "job_params": "{oops",
    "job_unique_key": "a\nb",
    "queue_name": "other\x1b",
}


@pytest.fixture
def t(redis_client: Any, keyspace: Any) -> Transitions:
    """Return the transitions of a keyspace."""
    return Transitions(redis_client, keyspace)


@pytest.mark.parametrize("limit", [1024 * 1024, 40])
def test_what_a_claim_would_fail_is_found_before(t: Transitions, limit: int) -> None:
    """Each such job that waits is a finding without a repair, which names the field; the others are none,
    however many payloads have to be read for it (F83).
    """
    for number in range(5):
        t.add(f"good-{number}", params={"text": "x" * (1024 * 1024 - 100 if limit > 40 else 10)})
    t.add("large", params={"text": "y" * 30})
    t.add("later", defer_by=60)
    for field, value in BAD.items():
        t.add(field)
        t.client.hset(t.keyspace.job(field), field, value)
    t.client.hdel(t.keyspace.job("later"), "max_retries")
    rules = Rules(max_payload_bytes=limit)
    look = Look(t.keyspace, rules, step=7, payloads=True)
    found = [each for each in look_with(t.client, look.everything()).findings if each.rule == "I3"]
    told = {each.job_id: each.found.partition(":")[0] for each in found}
    # That a number is none is told at the record itself (I10).
    wanted = {**{field: field for field in BAD if field != "max_retries"}, "later": "max_retries"}
    assert told == (wanted if limit > 40 else {**wanted, "large": "job_params"})
    assert all(each.repair is None for each in found)
    assert look_with(t.client, look.again(found)) == tuple(found)
    brief = look_with(t.client, Look(t.keyspace, rules).everything()).findings
    assert [each for each in brief if each.rule == "I3"] == []


def test_payloads_are_read_up_to_a_number(t: Transitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long queue the payloads of some jobs are read, and the other fields of all are judged."""
    monkeypatch.setattr("rrq_orchestrator.audit.look._PAYLOADS_READ", 0)
    for name, field, value in (("a", "job_params", "{oops"), ("b", "max_retries", "lots")):
        t.add(name)
        t.client.hset(t.keyspace.job(name), field, value)
    found = look_with(t.client, Look(t.keyspace, Rules(), payloads=True).everything()).findings
    assert [each.job_id for each in found] == ["b"]


def test_one_record_is_told_once(t: Transitions) -> None:
    """What another rule says of a record is not said again in other words."""
    t.add("j", max_retries=5)
    t.client.hset(t.keyspace.job("j"), "current_retries", "7")
    found = look_with(t.client, Look(t.keyspace, Rules(), payloads=True).everything()).findings
    assert [each.rule for each in found] == ["I10"]
