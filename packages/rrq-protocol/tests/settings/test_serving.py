"""Which queues are served, and cron entries for others."""

from rrq_protocol import RunnerConfig, Settings
from rrq_protocol.settings import (
    CronJob,
    CronTarget,
    WorkerConfig,
    cron_targets,
    find_unserved,
    served_queues,
)


def test_queues_served() -> None:
    """Those of the worker table; else the default queue and every queue that has a route of its own."""
    assert served_queues(Settings(worker=WorkerConfig(queues={"a": 2}))) == {"a": 2}
    routed = Settings(default_queue_name="main", runner_routes={"media": "rust"})
    assert served_queues(routed) == {"main": 1, "media": 1}


def test_where_jobs_of_cron_entries_go() -> None:
    """To their queue or the default one, and to the runner their function names; one that cannot be read
    names none."""
    jobs = (
        CronJob(function_name="f", schedule="@daily"),
        CronJob(function_name="go#f", name="other", schedule="@daily", queue_name="q"),
        CronJob(function_name="#f", name="odd", schedule="@daily"),
    )
    assert cron_targets(Settings(default_queue_name="main", cron_jobs=jobs)) == (
        CronTarget(0, "f", "main", None),
        CronTarget(1, "other", "q", "go"),
        CronTarget(2, "odd", "main", None),
    )


def test_entries_for_a_queue_that_is_not_served_are_named() -> None:
    """With their key, name, queue and what is served; a queue of a route or of the worker table is fine."""
    jobs = (
        CronJob(function_name="f", schedule="@daily"),
        CronJob(function_name="f", name="lost", schedule="@daily", queue_name="monitoring"),
        CronJob(function_name="f", name="routed", schedule="@daily", queue_name="media"),
    )
    runners = {"rust": RunnerConfig(cmd=("x",))}
    (said,) = find_unserved(Settings(cron_jobs=jobs, runners=runners, runner_routes={"media": "rust"}))
    assert said.startswith("rrq.cron_jobs[1].queue_name: the queue monitoring of the entry lost is not among")
    assert "(default, media)" in said
    served = WorkerConfig(queues={"monitoring": 1, "default": 1, "media": 1})
    assert list(find_unserved(Settings(cron_jobs=jobs, worker=served))) == []
