"""From `[[rrq.cron_jobs]]` to entries that can be fired."""

from typing import Any

import pytest

from rrq_orchestrator.cron.entries import CronEntry, cron_entries, cron_problems
from rrq_protocol.settings import parse_settings
from rrq_protocol.transitions import Guard, prepare


def problems(*jobs: dict[str, Any], **settings: Any) -> list[str]:
    """Return what is wrong with entries of the function ``f``."""
    given = [{"function_name": "f", "schedule": "@daily", **job} for job in jobs]
    return list(cron_problems(parse_settings({"cron_jobs": given, **settings})))


def entry(**job: Any) -> CronEntry:
    """Return one entry of the function ``f``."""
    given = {"function_name": "f", "schedule": "@daily", **job}
    ((found,), problems) = cron_entries(parse_settings({"cron_jobs": [given]}))
    assert problems == []
    return found


def test_every_problem_has_its_key_path() -> None:
    """Also several of one entry; those that are right are not spoken of."""
    found = problems(
        {},
        {"name": "b", "schedule": "61 * * * *", "timezone": "Mars/One"},
        {"name": "c", "schedule": "0 0 30 2 *"},
        {"name": "d", "params": {"text": "x" * 300}},
        max_payload_bytes=200,
    )
    paths = [each.partition(": ")[0] for each in found]
    assert paths == [
        "rrq.cron_jobs[1].schedule",
        "rrq.cron_jobs[1].timezone",
        "rrq.cron_jobs[2].schedule",
        "rrq.cron_jobs[3].params",
    ]
    assert "never" in found[2]


def test_entries_with_a_problem_keep_none_of_the_others() -> None:
    """Those are fired (F55); what is wrong is told with key path and name."""
    bad = {"function_name": "f", "schedule": "99 * * * *"}
    good = {"function_name": "f", "schedule": "@daily", "name": "good"}
    entries, found = cron_entries(parse_settings({"cron_jobs": [bad, good, {**bad, "name": "g"}]}))
    assert [each.name for each in entries] == ["good"]
    assert [each.partition(":")[0] for each in found] == [
        "rrq.cron_jobs[0].schedule",
        "rrq.cron_jobs[2].schedule",
    ]
    assert found[1].endswith("(in the entry g)")
    assert cron_entries(parse_settings({})) == ((), [])


def test_the_tick_is_the_identity_of_its_job() -> None:
    """The same entry and tick give the same job in any process; another tick another one."""
    tick = 1_767_268_800
    job = entry(params={"a": 1}).job_at(tick)
    assert job.job_id == "cron:f:20260101T120000Z"
    assert job == entry(params={"a": 1}).job_at(tick)
    assert Guard("tick", "f", tick_ms=tick * 1000).key in job.args
    assert tick * 1000 in job.args
    assert entry().job_at(tick + 1).job_id == "cron:f:20260101T120001Z"


def test_a_job_by_hand_is_no_tick_s() -> None:
    """It has an id of its own each time."""
    found = entry(queue_name="slow", overlap="skip")
    by_hand, again, of_tick = found.job_now(), found.job_now(), found.job_at(0)
    assert len({by_hand.job_id, again.job_id, of_tick.job_id}) == 3
    assert by_hand.queue_name == of_tick.queue_name == "slow"
    assert "cron:f" in by_hand.args
    assert "cron:f" in of_tick.args
    assert "cron:f" not in entry().job_now().args


def test_what_an_entry_leaves_open_comes_from_the_settings() -> None:
    """Queue, attempts, timeout and how long its record is kept."""
    settings = parse_settings(
        {
            "default_queue_name": "q",
            "default_max_retries": 2,
            "default_job_timeout_seconds": 7,
            "default_result_ttl_seconds": 8,
            "cron_jobs": [{"function_name": "f", "schedule": "@daily"}],
        }
    )
    (found,), _ = cron_entries(settings)
    job = found.job_at(0)
    assert (found.queue, job.queue_name) == ("q", "q")
    assert job.args[3:7] == ("q", 2, "7", "8")


def test_the_fingerprint_is_of_what_makes_ticks() -> None:
    """White space, payload and policies are no other schedule."""
    assert entry().fingerprint == entry(schedule=" @daily ", params={"a": 1}, missed="all").fingerprint
    prints = {
        entry(**change).fingerprint
        for change in ({}, {"schedule": "@hourly"}, {"timezone": "Asia/Tokyo"}, {"dst_gap": "skip"})
    }
    assert len(prints) == 4


def test_prepare_knows_the_guard() -> None:
    """A tick without an entry is refused before anything is sent."""
    from rrq_protocol import InvalidJob, Job
    from rrq_protocol.transitions import EnqueueDefaults

    with pytest.raises(InvalidJob, match="tick_key"):
        prepare(Job("f"), EnqueueDefaults(), guard=Guard("tick"))
