"""What the producers of examples/ refuse: whatever ours refuses, before anything is written."""

import json
import os
import re
import subprocess
from functools import cache, partial
from typing import Any

import pytest
import redis

from rrq_producer import InvalidJob, Producer
from rrq_protocol import Job, Keyspace, PayloadTooLarge
from support.languages import LANGUAGES, Unbuilt, built, enqueue_script
from support.road import WITHIN_S

PRODUCERS = [language.name for language in LANGUAGES.values() if language.producer]
GOOD = '{"function_name": "echo", "params": {"a": 1}}'


def _job(**fields: Any) -> str:
    return json.dumps({"function_name": "echo", **fields})


# The field that is named, and the line.
REFUSED = [
    ("params", _job(params=[1])),
    ("params", _job(params="text")),
    ("params", _job(params=None)),
    ("params", '{"function_name": "echo", "params": {"a": [1e400]}}'),
    ("params", '{"function_name": "echo", "params": {"a": -1e999}}'),
    ("params", f'{{"function_name": "echo", "params": {{"a": {"9" * 5000}}}}}'),
    ("params", f'{{"function_name": "echo", "params": {{"a": {"[" * 128}{"]" * 128}}}}}'),
    ("params", _job(params={"a": "x" * 1024 * 1024})),
    ("", r'{"function_name": "echo", "params": {"a": "\ud83d"}}'),
    ("", r'{"function_name": "echo", "params": {"a": "\ude00\ud83d"}}'),
    ("", r'{"function_name": "echo", "params": {"\udead": 1}}'),
    ("job_timeout_seconds", _job(job_timeout_seconds="abc")),
    ("job_timeout_seconds", _job(job_timeout_seconds=0)),
    ("job_timeout_seconds", _job(job_timeout_seconds=-1)),
    ("job_timeout_seconds", _job(job_timeout_seconds=True)),
    ("job_timeout_seconds", _job(job_timeout_seconds=31_536_001)),
    ("job_timeout_seconds", '{"function_name": "echo", "job_timeout_seconds": 1e400}'),
    ("job_id", _job(job_id="bad id!")),
    ("job_id", _job(job_id="")),
    ("job_id", _job(job_id="ends-with-a-line\n")),
    ("job_id", _job(job_id=7)),
    ("job_id", _job(job_id="x" * 129)),
    ("max_retries", _job(max_retries=0)),
    ("max_retries", _job(max_retries=-1)),
    ("max_retries", _job(max_retries=2.5)),
    ("max_retries", _job(max_retries="3")),
    ("max_retries", _job(max_retries=1_000_001)),
    ("result_ttl_seconds", _job(result_ttl_seconds=-1)),
    ("result_ttl_seconds", _job(result_ttl_seconds=1e300)),
    ("defer_seconds", _job(defer_seconds=-1)),
    ("defer_seconds", _job(defer_seconds="1")),
    ("unique_key", _job(unique_key="")),
    ("unique_key", _job(unique_key="a\u0000b")),
    ("unique_key", _job(unique_key=["a"])),
    ("unique_ttl_seconds", _job(unique_key="a", unique_ttl_seconds=0)),
    ("queue_name", _job(queue_name="a b")),
    ("queue_name", _job(queue_name="")),
    ("function_name", '{"params": {}}'),
    ("function_name", _job(function_name="")),
    ("function_name", _job(function_name="  ")),
    ("function_name", _job(function_name="#echo")),
    ("function_name", _job(function_name="node#")),
    ("function_name", _job(function_name="a b#echo")),
    ("function_name", _job(function_name="a\u2028b")),
    ("function_name", _job(function_name="x" * 257)),
    ("function_name", _job(function_name=["echo"])),
    ("trace_context", _job(trace_context={"a": 1})),
    ("trace_context", _job(trace_context=["a"])),
    ("trace_context", _job(trace_context={"a": "x" * 65_536})),
]
# No jobs at all: these have no counterpart in ours.
NO_JOBS = [
    ("max_retry", _job(max_retry=3)),
    ("job", "[]"),
    ("job", '"echo"'),
    ("", "{"),
    ("", GOOD + GOOD),
]
ACCEPTED = [
    _job(function_name="python#Grüße aus Wien", params={"deep": {"a": -1.5e300}, "text": "😀 \\ud83d"}),
    _job(job_id="A-Z.a_z:0-9", queue_name="A-Z.a_z", max_retries=1, job_timeout_seconds=0.001),
    _job(max_retries=1_000_000, job_timeout_seconds=31_536_000, result_ttl_seconds=0, defer_seconds=0),
    _job(job_id=None, queue_name=None, max_retries=None, job_timeout_seconds=None, unique_key=None),
    _job(unique_key="only → one", unique_ttl_seconds=0.0015, trace_context={}),
    f'{{"function_name": "echo", "params": {{"a": {"[" * 127}{"]" * 127}}}}}',
    "  ",
]


def _ours(line: str) -> Job:
    fields = json.loads(line)
    if "defer_seconds" in fields:
        fields["defer_by"] = fields.pop("defer_seconds")
    return Job(**{"function_name": None, **fields})


@cache
def _command(language: str) -> list[str]:
    example = LANGUAGES[language]
    assert example.producer is not None
    try:
        built(language)
    except Unbuilt as error:
        # Its compiler is not here. A strict run counts a skip as a failure.
        pytest.skip(str(error))
    return example.producer(example.folder)


def _enqueue(language: str, url: str, prefix: str, lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(language),
        input=lines,
        env={
            "PATH": os.environ["PATH"],
            "RRQ_REDIS_DSN": url,
            "RRQ_KEY_PREFIX": prefix,
            "RRQ_ENQUEUE_LUA": enqueue_script(),
        },
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


@pytest.mark.parametrize("language", PRODUCERS)
def test_what_could_not_run_is_refused(
    language: str, redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace
) -> None:
    """One line names the line and the field, the exit code is 2, and of the other lines nothing is written
    either.
    """
    enqueue = partial(_enqueue, language, redis_url, keyspace.prefix)
    for field, line in [*REFUSED, *NO_JOBS]:
        done = enqueue(f"{GOOD}\n\n{line}\n{GOOD}\n")
        assert (done.returncode, done.stdout) == (2, ""), line[:200]
        assert re.fullmatch(r"cannot enqueue: line 3: [^\n]+\n", done.stderr), done.stderr
        assert field in done.stderr.removeprefix("cannot enqueue: line 3: "), (line[:200], done.stderr)
    assert list(redis_client.scan_iter(match=f"{keyspace.prefix}:*")) == []


def test_ours_refuses_the_same(redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace) -> None:
    """So the examples are no stricter than they have to be."""
    with Producer(redis_url, key_prefix=keyspace.prefix) as producer:
        for field, line in REFUSED:
            if "9" * 5000 in line:
                continue  # Python itself does not read it
            with pytest.raises((InvalidJob, PayloadTooLarge)) as caught:
                producer.enqueue_many([_ours(line)])
            named = field.replace("defer_seconds", "defer_by")
            assert named in str(caught.value) or isinstance(caught.value, PayloadTooLarge), line[:200]
    assert list(redis_client.scan_iter(match=f"{keyspace.prefix}:*")) == []


@pytest.mark.parametrize("language", PRODUCERS)
def test_what_is_at_a_limit_is_accepted(
    language: str, redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace
) -> None:
    """And stored as ours would store it."""
    done = _enqueue(language, redis_url, keyspace.prefix, "\n".join(ACCEPTED))
    assert done.returncode == 0, done.stderr
    replies = [line.split(" ") for line in done.stdout.splitlines()]
    lines = [line for line in ACCEPTED if line.strip()]
    assert [kind for kind, _ in replies] == ["created"] * len(lines)
    own = Keyspace(f"{keyspace.prefix}:ours")
    with Producer(redis_url, key_prefix=own.prefix) as producer:
        ours = producer.enqueue_many([_ours(line) for line in lines])
    same = ("function_name", "max_retries", "job_timeout_seconds", "result_ttl_seconds", "unique_key")
    for (_, job_id), job in zip(replies, ours, strict=True):
        theirs = redis_client.hmget(keyspace.job(job_id), same)
        assert theirs == redis_client.hmget(own.job(job.id), same)
        stored = [redis_client.hget(key, "job_params") for key in (keyspace.job(job_id), own.job(job.id))]
        assert json.loads(stored[0] or b"") == json.loads(stored[1] or b"")
