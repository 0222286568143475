"""Names of cron entries."""

import pytest

from rrq_protocol import validate_job_id
from rrq_protocol.settings import CronJob, cron_entry_names, parse_settings
from rrq_protocol.settings.cron import MAX_CRON_ENTRY_CHARS


def job(function: str = "work", **fields: object) -> CronJob:
    """Return an entry as the settings read it."""
    entry = {"function_name": function, "schedule": "@daily", **fields}
    return parse_settings({"cron_jobs": [entry]}).cron_jobs[0]


def test_an_entry_is_called_by_its_name_or_its_function() -> None:
    """What can stand in a job id is taken as it is."""
    assert cron_entry_names([job(name="nightly.report"), job("send_mail")]) == ("nightly.report", "send_mail")


def test_entries_of_one_function_differ_by_what_they_say() -> None:
    """A file without names works; another schedule, zone, queue or payload is another entry, and it does not
    matter where it stands."""
    jobs = [
        job(),
        job(schedule="@hourly"),
        job(timezone="Asia/Tokyo"),
        job(queue_name="slow"),
        job(params={"a": 1}),
        job(name="work"),
    ]
    names = cron_entry_names(jobs)
    assert len(set(names)) == len(names)
    assert names[-1] == "work"
    assert all(name.startswith("work-") for name in names[:-1])
    assert cron_entry_names(jobs[::-1]) == names[::-1]


@pytest.mark.parametrize(
    "name", ["a b", "python#work", "größe", "a:b", "x" * 97, "x" * 128, "\u00fc", "-", "*", "*?", "..", "a/b"]
)
def test_any_name_gives_one_that_fits_a_job_id(name: str) -> None:
    """Other characters give way to a digest of the whole, so that two names never become one."""
    names = cron_entry_names([job(name=name), job(name=f"{name[:-1]}!"), job(name=f"{name[:-1]}^")])
    assert len(set(names)) == 3
    for each in names:
        assert 0 < len(each) <= MAX_CRON_ENTRY_CHARS
        validate_job_id(f"cron:{each}:20260101T000000Z")
