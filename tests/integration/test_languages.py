"""Handlers in every language of examples/, under one orchestrator: the same scenarios for each, and all
side by side, routed by queue and by prefix; producers in other languages, with the script of ours.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rrq_protocol import Job, JobStatus, Keyspace
from support.languages import LANGUAGES, Unbuilt, built, enqueue_script
from support.redis_servers import RedisServer
from support.road import WITHIN_S, Road
from support.scenarios import COUNT, CRON, OUTCOMES, SCENARIOS, TICKS

PRODUCERS = [language.name for language in LANGUAGES.values() if language.producer]


def _available() -> tuple[dict[str, list[str]], dict[str, str]]:
    commands, missing = {}, {}
    for name in LANGUAGES:
        try:
            commands[name] = built(name)
        except Unbuilt as error:
            missing[name] = str(error)
    return commands, missing


@pytest.fixture(scope="module")
def site(redis_server: RedisServer) -> Iterator[Road]:
    """Serve an orchestrator with a runner per language that this machine can build, and a queue for each."""
    commands, _ = _available()
    keyspace = Keyspace("rrq-languages")
    with Road(redis_server.url, keyspace) as site:
        for key in site.client.scan_iter(match=f"{keyspace.prefix}:*"):
            site.client.unlink(key)
        runners: dict[str, dict[str, Any]] = {}
        for name, command in commands.items():
            runners[name] = {
                "cmd": command,
                "cwd": str(LANGUAGES[name].folder),
                "pool_size": 1,
                "max_in_flight": 100,
                **({} if "unix" in LANGUAGES[name].kinds else {"tcp_port": 0}),
            }
        queues = {f"for-{name}": 1 for name in commands}
        site.configure(
            runners,
            worker={"queues": {"default": 1, **queues}},
            runner_routes={f"for-{n}": n for n in commands},
            cron_jobs=[
                {
                    "name": f"{CRON}-{name}",
                    "function_name": f"{name}#echo",
                    "schedule": "* * * * * *",
                    "params": {"language": name},
                }
                for name in commands
            ],
        )
        with site.running():
            yield site
        site.assert_nothing_left()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_scenario(site: Road, language: str, name: str) -> None:
    """The same, whatever the language."""
    _, missing = _available()
    if language in missing:
        OUTCOMES[language, name] = "skipped"
        pytest.skip(missing[language])
    OUTCOMES[language, name] = "FAILED"
    SCENARIOS[name](site, language)
    OUTCOMES[language, name] = f"{TICKS if name == 'cron' else COUNT} ok"


@pytest.mark.parametrize("by", ["queue", "prefix"])
def test_languages_side_by_side(site: Road, by: str) -> None:
    """Each job is executed by the runner that its queue, or the prefix of its function, names."""
    commands, _ = _available()
    jobs, wanted = [], []
    for number in range(COUNT):
        for name in commands:
            params = {"message": f"{name} {number}"}
            if by == "queue":
                jobs.append(Job("fail", params, queue_name=f"for-{name}", max_retries=1))
            else:
                # The prefix is stronger than the queue.
                jobs.append(Job(f"{name}#fail", params, queue_name="for-python", max_retries=1))
            wanted.append((name, params["message"]))
    enqueued = site.producer.enqueue_many(jobs)
    results = site.results(enqueued)
    assert {result.status for result in results} == {JobStatus.FAILED}
    ran = [site.record(job.id).attempts[0] for job in enqueued]
    assert [each.runner for each in ran] == [name for name, _ in wanted]
    assert all(message in each.message for each, (_, message) in zip(ran, wanted, strict=True))
    for name in commands:
        OUTCOMES[name, f"mixed by {by}"] = f"{COUNT} ok"


@pytest.mark.parametrize("language", PRODUCERS)
def test_a_producer(site: Road, language: str) -> None:
    """Its jobs are like ours: executed everywhere, deferred, unique; a repeat makes no second job."""
    commands, missing = _available()
    if language in missing:
        pytest.skip(missing[language])
    example = LANGUAGES[language]
    assert example.producer is not None
    jobs = [
        {"function_name": f"{name}#echo", "params": {"number": number, "text": "ü → 😀"}}
        for name in commands
        for number in range(COUNT)
    ]
    special = [
        {
            "function_name": "echo",
            "queue_name": "for-python",
            "job_id": f"{language}-own",
            "defer_seconds": 0.4,
        },
        {
            "function_name": "echo",
            "queue_name": "for-python",
            "job_id": f"{language}-own",
            "defer_seconds": 0.4,
        },
        {"function_name": "fail", "max_retries": 1, "queue_name": "for-python", "job_id": f"{language}-dead"},
        {"function_name": "echo", "defer_seconds": 0.3, "unique_key": language, "queue_name": "for-python"},
        {"function_name": "echo", "defer_seconds": 0.3, "unique_key": language, "queue_name": "for-python"},
    ]
    done = subprocess.run(
        example.producer(example.folder),
        input="".join(json.dumps(job) + "\n" for job in [*jobs, *special]),
        env={
            "PATH": os.environ["PATH"],
            "RRQ_REDIS_DSN": site.url,
            "RRQ_KEY_PREFIX": site.keyspace.prefix,
            "RRQ_ENQUEUE_LUA": enqueue_script(),
        },
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    replies = [line.split(" ") for line in done.stdout.splitlines()]
    assert [kind for kind, _ in replies] == ["created"] * len(jobs) + [
        *("created", "exists", "created", "created", "unique")
    ]
    ids = [job_id for _, job_id in replies]
    assert ids[-1] == ids[-2]
    results = [site.result(job_id) for job_id in ids]
    assert [result.result for result in results[: len(jobs)]] == [job["params"] for job in jobs]
    record = site.record(f"{language}-own")
    assert record.start_time is not None
    assert (record.start_time - record.enqueue_time).total_seconds() >= 0.35
    assert f"{language}-dead" in site.dead()
    OUTCOMES[language, "produces"] = f"{len(ids)} ok"
