"""Each line's commands over the other's records."""

import json

import pytest

from rrq_protocol import JobStatus
from support.interop.site import Site
from support.waiting import eventually

LATER_S = 3600


@pytest.fixture(scope="module", autouse=True)
def _jobs(site: Site) -> None:
    """Leave jobs behind: each orchestrator completed one and failed one, each producer has one waiting."""
    for line in ("ours", "public"):
        with site.running(line, "ours"):
            site.producer.enqueue("echo", {"word": "grüße"}, job_id=f"good-{line}")
            site.producer.enqueue("flaky", {"succeeds_on": 9}, max_retries=1, job_id=f"bad-{line}")
            assert site.result(f"good-{line}").status is JobStatus.COMPLETED
            assert site.result(f"bad-{line}").status is JobStatus.FAILED
    with site.stranger("wheel") as stranger:
        stranger.enqueue("echo", queue_name="default", job_id="waits-public", defer_by_seconds=LATER_S)
    site.producer.enqueue("echo", job_id="waits-ours", defer_by=LATER_S)


@pytest.mark.parametrize(("job", "status"), [("good", "COMPLETED"), ("bad", "FAILED"), ("waits", "PENDING")])
def test_theirs_shows_ours_as_ours_does(site: Site, job: str, status: str) -> None:
    """``rrq job show`` of the public line prints every field of our record; ours says the same."""
    theirs = json.loads(site.public("job", "show", f"{job}-ours", "--raw"))
    ours = site.ours("job", "show", f"{job}-ours")
    assert theirs == ours["fields"]
    assert (theirs["status"], ours["status"]) == (status, status)


@pytest.mark.parametrize(
    ("job", "status", "attempts"), [("good", "COMPLETED", 1), ("bad", "FAILED", 1), ("waits", "PENDING", 0)]
)
def test_ours_shows_theirs(site: Site, job: str, status: str, attempts: int) -> None:
    """What the public line wrote is read without a complaint."""
    shown = site.ours("job", "show", f"{job}-public")
    assert (shown["status"], shown["attempts"], shown["problem"]) == (status, attempts, None)
    assert shown["queue_name"] == "default"
    if job == "good":
        assert shown["result"]["params"] == {"word": "grüße"}
    if job == "bad":
        # Only ours gives the error its type.
        assert shown["last_error"] == "attempt 1 fails"


def test_both_list_all_jobs_queues_and_dead_letters(site: Site) -> None:
    """Neither leaves out what the other one wrote."""
    everything = {f"{job}-{line}" for job in ("good", "bad", "waits") for line in ("ours", "public")}
    listed = {line.split()[0] for line in site.public("job", "list").splitlines()[1:]}
    assert listed == everything
    assert {job["id"] for job in site.ours("job", "list", "--scan")["jobs"]} == everything
    (queue,) = [line for line in site.public("queue", "list").splitlines() if "rrq:queue:" in line]
    assert queue.split()[:2] == ["rrq:queue:default", "2"]
    (ours,) = site.ours("queue", "list")["queues"]
    assert (ours["name"], ours["later"]) == ("default", 2)
    dead = {line.split()[0] for line in site.public("dlq", "list").splitlines() if line.startswith("bad-")}
    assert dead == {"bad-ours", "bad-public"}
    assert {job["id"] for job in site.ours("dlq", "list")["jobs"]} == dead


def test_the_doctor_finds_nothing_broken_in_what_theirs_did(site: Site) -> None:
    """Only counters, which the public line does not keep: a warning, that says so."""
    findings = site.ours("doctor", "--errors-only")["findings"]
    assert [(each["rule"], each["level"]) for each in findings] in ([], [("I13", "warning")])


def test_a_requeue_of_either_is_run_by_either(site: Site) -> None:
    """Ours gives a dead letter all its attempts again; theirs leaves them spent, so it gets one more."""
    assert site.ours("dlq", "requeue", "--job-id", "bad-public")["results"] == {"ok": 1}
    assert "Requeued 1 job" in site.public("dlq", "requeue", "--job-id", "bad-ours")
    assert site.dead() == []
    assert (site.record("bad-public").current_retries, site.record("bad-ours").current_retries) == (0, 1)
    before = {job: len(site.starts(job)) for job in ("bad-ours", "bad-public")}
    with site.running("ours", "ours"):
        for job in before:
            assert site.result(job).status is JobStatus.FAILED
    assert {job: len(site.starts(job)) for job in before} == {job: n + 1 for job, n in before.items()}
    assert sorted(site.dead()) == sorted(before)


def test_a_cancel_of_either_ends_a_waiting_job_of_the_other(site: Site) -> None:
    """Its status is CANCELLED to both, and it is in no queue."""
    site.ours("job", "cancel", "waits-public")
    site.public("job", "cancel", "waits-ours")
    assert {site.record(f"waits-{line}").status for line in ("ours", "public")} == {JobStatus.CANCELLED}
    assert site.client.exists("rrq:queue:default") == 0


def test_theirs_counts_our_orchestrators(site: Site) -> None:
    """The health report is read by both."""
    with site.running("ours", "ours"):
        eventually(lambda: site.client.zcard("rrq:workers"), "an orchestrator")
        (one,) = site.ours("check")["orchestrators"]
        assert one["id"] in site.public("check")
