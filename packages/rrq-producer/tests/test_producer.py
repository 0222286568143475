"""The blocking producer: threads, forks, interrupts."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from rrq_producer import JobStatus, Producer
from rrq_protocol import Keyspace
from support.proxy import Proxy


def test_threads_share_a_producer(producer: Producer, redis_client: Any, keyspace: Keyspace) -> None:
    """Many threads enqueue and look at the same time; each gets the answers to its own calls."""

    def work(name: int) -> None:
        for n in range(25):
            job_id = f"{name}-{n}"
            assert producer.enqueue("f", {"id": job_id}, job_id=job_id).id == job_id
            found = producer.get_job_status(job_id)
            assert found is not None
            assert found.id == job_id

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    assert redis_client.zcard(keyspace.queue("default")) == 400


def test_threads_wait_at_the_same_time(producer: Producer, finish: Callable[[], list[str]]) -> None:
    """Waiters in several threads each get their own job's result; enqueues pass meanwhile."""
    ids = [producer.enqueue("f", {"n": n}).id for n in range(10)]
    with ThreadPoolExecutor(10) as threads:
        waiters = [threads.submit(producer.wait, job_id, 30) for job_id in ids]
        producer.enqueue("f")
        finish()
        results = [waiter.result() for waiter in waiters]
    assert [result.id for result in results] == ids
    assert {result.status for result in results} == {JobStatus.COMPLETED}


def test_waiters_never_hold_up_an_enqueue(
    redis_url: str, keyspace: Keyspace, finish: Callable[[], list[str]]
) -> None:
    """With a single connection and several waiters, enqueues pass; each waiter gets its own result."""
    with (
        Producer(redis_url, key_prefix=keyspace.prefix, max_connections=1, timeout_seconds=2) as producer,
        ThreadPoolExecutor(4) as threads,
    ):
        ids = [producer.enqueue("f", {"n": n}).id for n in range(4)]
        waiters = [threads.submit(producer.wait, job_id, 10) for job_id in ids]
        ids += [producer.enqueue("f", {"n": n}).id for n in range(50)]
        assert sorted(finish()) == sorted(ids)
        assert [waiter.result().id for waiter in waiters] == ids[:4]


_FORKING = """
import os, sys
from rrq_producer import Producer

producer = Producer(sys.argv[1], key_prefix=sys.argv[2])
for n in range(3):
    producer.enqueue("f", job_id=f"before-{n}")
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for n in range(50):
            job_id = f"{child}-{n}"
            assert producer.enqueue("f", {"id": job_id}, job_id=job_id).id == job_id
            assert producer.get_job_status(job_id).id == job_id
        producer.cancel(f"{child}-0")
        assert producer.wait(f"{child}-0", 5).status == "CANCELLED"
        os._exit(0)
    children.append(pid)
for n in range(50):
    assert producer.enqueue("f", job_id=f"parent-{n}").id == f"parent-{n}"
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
producer.close()
sys.exit(max(codes))
"""


def test_a_forked_child_opens_connections_of_its_own(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Parent and children use one producer after a fork; nobody reads another's reply, every job is there."""
    with Proxy(redis_url) as proxy:
        command = [sys.executable, "-W", "error", "-c", _FORKING, proxy.url, keyspace.prefix]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        # One of the parent; of each child one for commands and one for waiting.
        assert proxy.connections == 9
    assert redis_client.zcard(keyspace.queue("default")) == 3 + 4 * 49 + 50


_INTERRUPTED = """
import sys
from rrq_producer import Producer

with Producer(sys.argv[1], key_prefix=sys.argv[2]) as producer:
    for job_id in ("a", "b"):
        producer.enqueue("f", job_id=job_id)
    print("ready", flush=True)
    try:
        while True:
            producer.wait("a", 60)
    except KeyboardInterrupt:
        pass
    assert producer.get_job_status("b").id == "b"
print("fine", flush=True)
"""


def test_an_interrupt_leaves_the_producer_usable(redis_url: str, keyspace: Keyspace) -> None:
    """Ctrl-C in the middle of a wait closes the connection it hit; the next call gets its own reply."""
    command = [sys.executable, "-c", _INTERRUPTED, redis_url, keyspace.prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with redis.Redis.from_url(redis_url) as client:
            while client.pubsub_numsub(keyspace.channel("a"))[0][1] == 0:
                threading.Event().wait(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "fine\n"
        assert process.wait(30) == 0


def test_importing_loads_no_client() -> None:
    """Importing the wheel loads neither the Redis client nor what other wheels need; a producer loads it."""
    code = (
        "import sys, rrq_producer\n"
        "loaded = {'redis', 'anyio', 'structlog', 'click', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(loaded) if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("call", ["enqueue", "wait"])
def test_a_closed_connection_is_made_anew(producer: Producer, redis_client: Any, call: str) -> None:
    """Connections that the server has closed meanwhile are replaced without a word."""
    job = producer.enqueue("f")
    producer.cancel(job.id)
    producer.wait(job.id, 5)
    for kind in ("normal", "pubsub"):
        redis_client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    if call == "wait":
        assert producer.wait(job.id, 5).status is JobStatus.CANCELLED
    else:
        assert producer.enqueue("f").created
