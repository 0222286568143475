"""Ticks over several orchestrators that die: each is fired once (RELIABILITY.md F51, F52)."""

import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from rrq_protocol import JobStatus
from support.processes import Command
from support.road import Road
from support.waiting import eventually

RUNNER = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 4}}
LEASE: dict[str, Any] = {"lease_seconds": 1.5, "lease_beat_seconds": 0.3}
# On a machine that stalls for longer than a tick may be late, nothing is to be left out.
ENTRY = """
[[rrq.cron_jobs]]
function_name = "work"
name = "tick"
schedule = "* * * * * *"
params = { number = 21 }
missed = "all"
"""


@pytest.fixture
def ticking(road: Road) -> Road:
    """Return a road whose orchestrators fire an entry every second."""
    road.configure(RUNNER, **LEASE)
    with (road.folder / "rrq.toml").open("a") as file:
        file.write(ENTRY)
    return road


def _ticks(road: Road) -> dict[int, str]:
    """Return the job of each tick there is one for, by the tick's epoch seconds."""
    start = road.keyspace.job("cron:tick:")
    ids = [key.decode()[len(road.keyspace.job("")) :] for key in road.client.scan_iter(match=f"{start}*")]
    return {
        round(datetime.strptime(each[-16:], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()): each
        for each in ids
    }


def _until(road: Road, ticks: int) -> int:
    """Wait until there are jobs of so many ticks; return how many."""
    return eventually(lambda: found if (found := len(_ticks(road))) >= ticks else 0, f"{ticks} ticks")


def _assert_each_once(road: Road) -> None:
    """Have all jobs finished. No tick between the first and the last is missing, and none has two jobs."""
    path = road.folder / "rrq.toml"
    path.write_text(path.read_text().replace(ENTRY, ""))
    jobs = _ticks(road)
    assert sorted(jobs) == list(range(min(jobs), max(jobs) + 1))
    enqueued: Any = road.client.hget(road.keyspace.stats("default"), "enqueued")
    assert int(enqueued) == len(jobs)
    with road.running():
        results = [road.result(job_id) for job_id in jobs.values()]
    assert {(each.status, each.result) for each in results} == {(JobStatus.COMPLETED, 42)}


def test_five_orchestrators_three_killed(ticking: Road) -> None:
    """One job per second, also in the seconds in which some of them die, just when a tick is fired, and after
    them (F51, G14)."""
    with ExitStack() as stack:
        daemons = [stack.enter_context(ticking.start()) for _ in range(5)]
        for daemon in daemons:
            ticking.ready(daemon)
        *doomed, first, second = daemons
        seen = _until(ticking, 2)
        for daemon in doomed:
            # The others are about to ask for the tick that this one may just have asked for.
            seen = _until(ticking, seen + 1)
            daemon.kill(signal.SIGKILL)
            assert daemon.code() == -signal.SIGKILL
        _until(ticking, seen + 3)
        for daemon in (first, second):
            ticking.stop(daemon)
    _assert_each_once(ticking)


@pytest.mark.parametrize("label", ["enqueue.before", "enqueue.after"])
def test_a_death_at_a_tick(ticking: Road, label: str) -> None:
    """Between deciding on it and knowing that it was fired: the next orchestrator
    fires what was not, and nothing else."""
    with Command(
        "rrq_orchestrator",
        *("--config", "rrq.toml"),
        cwd=ticking.folder,
        env={**ticking.environment(), "RRQ_CRASH_AT": label},
    ) as dead:
        assert dead.code() == -signal.SIGKILL
    anchor: Any = ticking.client.hget(ticking.keyspace.cron("tick"), "tick")
    with ticking.running():
        _until(ticking, 2)
    _assert_each_once(ticking)
    assert 0 <= min(_ticks(ticking)) * 1000 - int(anchor) <= 1000


def test_a_wrong_entry_keeps_none_of_the_others(road: Road) -> None:
    """It is told as an error with its key path; the others are fired, while the check ends with 78."""
    road.configure(RUNNER)
    with (road.folder / "rrq.toml").open("a") as file:
        file.write(ENTRY.replace("* * * * * *", "0 0 30 2 *").replace('"tick"', '"never"') + ENTRY)
    with road.running() as daemon:
        (told,) = daemon.told("cron.entry_refused")
        assert told["problem"].startswith("rrq.cron_jobs[0].schedule: expected a schedule that comes")
        eventually(lambda: _ticks(road), "a tick of the other entry")
    done = road.command("rrq_cli", "config", "check", "--config", "rrq.toml")
    assert (done.returncode, "in the entry never" in done.stdout + done.stderr) == (78, True)
