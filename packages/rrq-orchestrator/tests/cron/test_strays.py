"""Cron entries whose jobs nobody here would execute."""

from rrq_orchestrator.cron import cron_entries, cron_problems, strays, watched_queues
from rrq_protocol import RunnerConfig, Settings
from rrq_protocol.settings import CronJob

FINE = CronJob(function_name="f", schedule="@daily")
LOST = CronJob(function_name="f", name="lost", schedule="@daily", queue_name="monitoring")
GHOST = CronJob(function_name="ghost#a", name="spook", schedule="@daily")
ELSEWHERE = CronJob(function_name="rust#a", name="far", schedule="@daily", queue_name="media")
SETTINGS = Settings(cron_jobs=(FINE, LOST, GHOST, ELSEWHERE), runners={"go": RunnerConfig(cmd=("x",))})


def test_an_orchestrator_tells_of_what_it_would_not_execute() -> None:
    """By the queues it serves, and the runners it has, whoever gave them to it."""
    found = dict(strays(SETTINGS, ["python"]))
    queues = {name: fields["queue"] for name, fields in found.items()}
    assert queues == {"lost": "monitoring", "spook": "default", "far": "media"}
    assert found["spook"]["runner"] == "ghost"
    assert "spook" not in dict(strays(SETTINGS, ["python", "ghost"]))


def test_a_runner_that_is_not_configured_is_a_problem_of_the_settings() -> None:
    """With the entry's name; but no reason not to start, nor to judge of queues that others serve."""
    (said,) = cron_problems(SETTINGS)
    assert said.startswith("rrq.cron_jobs[2].function_name: expected a runner of the settings (go, python), ")
    assert "got ghost in the entry spook" in said
    assert [len(each) for each in cron_entries(SETTINGS)] == [4, 0]


def test_fed_queues_are_watched() -> None:
    """Each once."""
    assert watched_queues(SETTINGS) == ["default", "monitoring", "media"]
