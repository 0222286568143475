"""For tests of the command line: a Redis with jobs in every state, and ``rrq`` called here or as a child."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis

from rrq_protocol import AttemptEntry, Job, Keyspace, ScriptCall
from rrq_protocol.transitions import (
    Charge,
    ClaimedJob,
    ClaimRequest,
    EnqueueDefaults,
    Lease,
    SettleKind,
    Settlement,
    claim,
    enqueue,
    prepare,
    register,
    settle,
)

__all__ = ["HOSTILE", "WORKER", "Answer", "World"]

T = TypeVar("T")
WORKER = "worker-1"
# Clears the screen, sets the title, starts a CSI in C1, reorders, hides, and is markup of the table library.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202egnp.exe\u200b[red]x[/red]"
_ALLOWED_CONTROLS = {"\n"}


@dataclass(frozen=True)
class Answer:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Standard output without line ends, as wrapping put them in."""
        return " ".join(self.out.split())

    @property
    def controls(self) -> set[str]:
        """Characters in the output that drive a terminal."""
        return {char for char in self.out + self.err if not char.isprintable()} - _ALLOWED_CONTROLS


class World:
    """A key space of one test's own and the command line pointed at it.

    Args:
        url: The Redis.
        client: A connection to it.
        keys: The key space.
        folder: Where commands run.
    """

    def __init__(self, url: str, client: "redis.Redis", keys: Keyspace, folder: Path) -> None:
        self.url, self.redis, self.keys, self.folder = url, client, keys, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RRQ_")}
        ours = {"RRQ_REDIS_DSN": url, "RRQ_KEY_PREFIX": keys.prefix, "COLUMNS": "80", "NO_COLOR": "1"}
        self.environment = {**kept, **ours}

    # Redis

    def run(self, call: ScriptCall[T]) -> T:
        """Perform a transition."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.execute_command(*call.eval_args())  # type: ignore[no-untyped-call]
            return call.result(pipe.execute()[0])

    def enqueue(self, function: str = "work", params: dict[str, Any] | None = None, **job: Any) -> str:
        """Enqueue a job and return its id."""
        prepared = prepare(Job(function, params or {}, **job), EnqueueDefaults(max_retries=3))
        (reply,) = self.run(enqueue(self.keys, [prepared]))
        assert reply.kind == "created"
        return reply.job_id

    def register(self, worker: str = WORKER, lease_ms: int = 60_000, **report: Any) -> None:
        """Make an orchestrator known."""
        text = msgspec.json.encode({"worker_id": worker, "queues": ["default"], **report})
        self.run(register(self.keys, Lease(worker, lease_ms, text, 60_000)))

    def claim(self, queue: str = "default", most: int = 1, worker: str = WORKER) -> tuple[ClaimedJob, ...]:
        """Claim jobs of a queue."""
        self.register(worker)
        return self.run(claim(self.keys, worker, [ClaimRequest(queue, "python", most)], {})).jobs

    def settle(
        self, job: ClaimedJob, kind: SettleKind, text: str, *, worker: str = WORKER, **more: Any
    ) -> None:
        """End an attempt."""
        settlement = Settlement(job.id, job.claim_seq, kind, job.queue, text, ttl_seconds=3600, **more)
        (reply,) = self.run(settle(self.keys, worker, [settlement]))
        assert reply == "ok"

    def completed(self, function: str = "work", result: object = None, **job: Any) -> str:
        """Return the id of a job that ran and completed."""
        self.enqueue(function, **job)
        (taken,) = self.claim(job.get("queue_name", "default"))
        self.settle(taken, SettleKind.COMPLETE, json.dumps(result), run_ms=20)
        return taken.id

    def dead(
        self, error: str = "ValueError: boom", function: str = "work", dlq_name: str = "default", **job: Any
    ) -> str:
        """Return the id of a job that failed for good, with one entry in its log."""
        self.enqueue(function, **job)
        (taken,) = self.claim(job.get("queue_name", "default"))
        self.settle(
            taken,
            SettleKind.FAIL,
            error,
            charge=Charge.RETRY,
            dlq_name=dlq_name,
            run_ms=20,
            attempts_log=self.log(taken, "failed", error),
        )
        return taken.id

    def log(self, job: ClaimedJob, outcome: str, message: str, **more: Any) -> bytes:
        """Return an attempts log of one entry."""
        entry = AttemptEntry(
            1, outcome, message, worker=WORKER, runner="python", claim_seq=job.claim_seq, **more
        )
        return msgspec.json.encode((entry,))

    def hash(self, job_id: str, **fields: str) -> None:
        """Write a job hash by hand."""
        self.redis.hset(
            self.keys.job(job_id), mapping={name.encode(): value for name, value in fields.items()}
        )

    def queued(self, job_id: str, queue: str = "default", due_ms: float = 1.0) -> None:
        """Put an id into a queue by hand."""
        self.redis.zadd(self.keys.queue(queue), {job_id: due_ms})
        self.redis.sadd(self.keys.queues, queue)

    def wait_for_subscriber(self, job_id: str) -> None:
        """Wait until somebody waits for the end of a job."""
        channel = self.keys.channel(job_id)
        give_up = time.monotonic() + 30
        while not dict(self.redis.pubsub_numsub(channel)).get(channel.encode()):
            assert time.monotonic() < give_up, f"nobody subscribed to {channel}"
            time.sleep(0.01)  # Redis has no event for a subscription

    # rrq

    def rrq(self, *args: str, environment: dict[str, str] | None = None) -> Answer:
        """Call ``rrq`` in this process."""
        from rrq_cli.root import run

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        before, folder = dict(os.environ), Path.cwd()
        os.environ.clear()
        os.environ.update({**self.environment, **(environment or {})})
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(args)
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())
        return Answer(int(code), texts[0], texts[1])

    def process(self, *args: str, command: Sequence[str] = (), **more: Any) -> Answer:
        """Call ``rrq`` as a process of its own."""
        done = subprocess.run(
            [*(command or (sys.executable, "-m", "rrq_cli")), *args],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
            **more,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
