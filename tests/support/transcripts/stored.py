"""A key space as an operator may find it on a bad day: jobs in every state, and what strangers wrote.

Everything is written as it is stored, with fixed times, so that the same commands give the same answers. The
clock of the commands stands at :data:`NOW`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from support.cli import HOSTILE, World

__all__ = ["FOREIGN", "LONG", "NOW", "OURS", "fill"]

NOW = datetime(2025, 1, 6, 12, 0, 0, 250_000, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
# As long as an id can be, and without a place to break.
LONG = "import:" + "0123456789abcdef" * 7 + ":shard-42"
OURS = "rrq_worker_web-1.example_4711_" + "0123456789abcdef" * 2
FOREIGN = "public-orchestrator-7"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/app/mail.py", line 12, in send\n'
    "    raise SMTPError(f'{host} said \x1b[31m{code}\x1b[0m')\n"
    "SMTPError: mx.example said \x1b[31m421\x1b[0m"
)


def ms(**before: float) -> int:
    """Return the epoch ms of so long before now."""
    return NOW_MS - round(timedelta(**before).total_seconds() * 1000)


def at(**before: float) -> str:
    """Return the instant so long before now, as it is stored."""
    return f"{datetime.fromtimestamp(ms(**before) / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def fill(world: World) -> None:
    """Write the whole system."""
    _queues(world)
    _waiting(world)
    _held(world)
    _ended(world)
    _dead(world)
    _broken(world)
    _orchestrators(world)


def _job(world: World, job_id: str, queue: str, status: str, **fields: Any) -> None:
    known = {
        "id": job_id,
        "function_name": "send_email",
        "job_params": json.dumps({"to": "someone@mail.example"}),
        "enqueue_time": at(minutes=10),
        "queue_name": world.keys.queue(queue),
        "status": status,
        "current_retries": "0",
        "max_retries": "5",
        "job_timeout_seconds": "300",
        "result_ttl_seconds": "86400",
        "result": "null",
    }
    world.hash(job_id, **{**known, **{name: str(value) for name, value in fields.items()}})


def _queued(
    world: World, job_id: str, queue: str, status: str, due: Mapping[str, float], **more: Any
) -> None:
    _job(world, job_id, queue, status, next_scheduled_run_time=at(**due), **more)
    world.queued(job_id, queue, ms(**due))


def _entry(
    attempt: int, outcome: str, message: str, begun: Mapping[str, float], run_ms: int, **more: Any
) -> Any:
    ended = ms(**begun) + run_ms
    known = {"attempt": attempt, "outcome": outcome, "message": message, "claim_seq": attempt}
    where = {"worker": OURS, "runner": "python", "started_at_ms": ms(**begun), "ended_at_ms": ended}
    return {**known, **where, **more}


def _queues(world: World) -> None:
    keys, pipe = world.keys, world.redis.pipeline(transaction=False)
    # Strangers write into sets of names what they like.
    pipe.sadd(keys.queues, "default", "mail", "reports.nightly", "q" * 128, HOSTILE, "empty", "broken")
    pipe.sadd(keys.paused, "reports.nightly")
    totals: dict[Any, Any] = {
        "enqueued": 1_204_331, "started": 1_203_000, "completed": 1_200_402, "failed": 17, "retried": 96,
        "wait_ms": 481_200_000, "run_ms": 25_000_000_000,
    }  # fmt: skip
    pipe.hset(keys.stats("default"), mapping=totals)
    pipe.hset(keys.stats("mail"), mapping={"started": 3, "completed": 2, "failed": "x" + HOSTILE})
    minute = NOW_MS // 60_000
    for back, count in enumerate((40, 960, 720, 700, 0, 10, 360, 480, 960, 120)):
        pipe.hset(keys.stats_minute("default", minute - back * 5), mapping={"completed": count})
    pipe.hset(keys.stats_minute("default", minute - 20 * 60), mapping={"completed": 90_000})
    pipe.hset(keys.stats_minute("mail", minute - 3), mapping={"completed": 2})
    pipe.set(keys.queue("broken"), "a string")
    pipe.execute()


def _waiting(world: World) -> None:
    _queued(world, "due-first", "default", "PENDING", {"minutes": 4, "seconds": 10})
    _queued(
        world, LONG, "default", "PENDING", {"seconds": 3}, function_name="import.shard_of_a_very_long_name"
    )
    _queued(world, "later", "default", "PENDING", {"hours": -2, "minutes": -30}, enqueue_time=at(days=3))
    retry = _entry(
        1, "retry", f"ConnectionError: {HOSTILE}", {"seconds": 90}, 1_250, retry_at_ms=ms(seconds=-25)
    )
    _queued(
        world, "retrying", "mail", "RETRYING", {"seconds": -25},
        current_retries=1, claim_seq=1, worker_id=OURS, start_time=at(seconds=90),
        last_error=f"ConnectionError: {HOSTILE}", attempts_log=json.dumps([retry]),
    )  # fmt: skip
    _queued(
        world, "wide", "mail", "PENDING", {"seconds": 1}, function_name="发送邮件", job_unique_key="客户:42"
    )
    _queued(world, "on-hold", "reports.nightly", "PENDING", {"hours": 11}, function_name="report#nightly")
    _queued(world, "hostile-function", "mail", "PENDING", {"minutes": 2}, function_name=HOSTILE)
    _queued(world, "unserved", "q" * 128, "PENDING", {"minutes": 1}, function_name="rust#thumbnail")
    _queued(world, "locked", "default", "PENDING", {"minutes": 9})
    world.redis.set(world.keys.lock_job("locked"), FOREIGN)
    world.queued("no-record", "default", ms(seconds=30))


def _held(world: World) -> None:
    running = {"claim_seq": 1, "worker_id": OURS}
    _job(world, "running", "default", "ACTIVE", start_time=at(seconds=12, milliseconds=500), **running)
    asked = {"start_time": at(minutes=3), "cancel_requested_at": at(seconds=5)}
    _job(world, "being-cancelled", "mail", "ACTIVE", **running, **asked)
    stray = {"claim_seq": 1, "worker_id": HOSTILE, "start_time": at(minutes=6)}
    _job(world, "lost", "default", "ACTIVE", **stray)
    held = {"running": ms(seconds=12, milliseconds=500), "being-cancelled": ms(minutes=3)}
    world.redis.zadd(world.keys.active(OURS), held)
    world.redis.zadd(world.keys.active(HOSTILE), {"lost": ms(minutes=6)})


def _ended(world: World) -> None:
    retry = _entry(1, "retry", "TimeoutError", {"minutes": 9}, 700, retry_at_ms=ms(minutes=8))
    _job(
        world, "done", "default", "COMPLETED",
        current_retries=1, claim_seq=2, worker_id=OURS, start_time=at(minutes=8),
        completion_time=at(minutes=7, seconds=57.9), attempts_log=json.dumps([retry]),
        job_params=json.dumps({"to": "发送@mail.example", "body": HOSTILE, "copies": [1, 2, 3]}),
        result=json.dumps({"sent": True, "by": HOSTILE}), trace_context="{}",
    )  # fmt: skip
    world.redis.pexpire(world.keys.job("done"), 5_430_000)
    _job(world, "cancelled", "mail", "CANCELLED", completion_time=at(minutes=2))
    released = [
        _entry(1, "released", "its orchestrator stopped", {"minutes": 5}, 12_000, claim_seq=38),
        _entry(1, "released", HOSTILE, {"minutes": 4}, 900, claim_seq=39, worker=HOSTILE, runner=HOSTILE),
        {"attempt": 1, "outcome": "released", "message": "the answer to its claim was lost", "claim_seq": 40,
         "ended_at_ms": ms(minutes=3), "worker": OURS},
    ]  # fmt: skip
    _job(
        world, "given-back", "default", "COMPLETED",
        claim_seq=41, worker_id=OURS, start_time=at(minutes=2), completion_time=at(minutes=1),
        releases_log=json.dumps(released), result="1",
    )  # fmt: skip


def _dead(world: World) -> None:
    entries = [
        _entry(
            1, "retry", "SMTPError: greylisted", {"minutes": 9, "seconds": 30}, 450, retry_at_ms=ms(minutes=9)
        ),
        _entry(2, "timeout", "ran longer than 300 s", {"minutes": 9}, 300_000, retry_at_ms=ms(minutes=3)),
        _entry(3, "failed", "SMTPError: 421", {"minutes": 3}, 80, type="SMTPError", traceback=TRACEBACK),
    ]
    _job(
        world, "dead", "mail", "FAILED",
        current_retries=3, max_retries=3, claim_seq=3, worker_id=OURS, start_time=at(minutes=3),
        completion_time=ended(3), dlq_name=world.keys.dlq("default"),
        last_error="SMTPError: mx.example said \x1b[31m421\x1b[0m", attempts_log=json.dumps(entries),
    )  # fmt: skip
    for number, minutes in (("41", 31), ("42", 33)):
        _failed(
            world, f"dead-{number}", minutes, f"SMTPError: mx{number}.example said 421 [red]try later[/red]"
        )
    _failed(world, LONG + ".d", 95, "MemoryError", function_name="import.shard_of_a_very_long_name")
    _failed(
        world,
        "crashed",
        150,
        "crash: the runner process died (signal 9) under this job, 3 times",
        crash_count=3,
    )
    _failed(world, "dead-hostile", 60 * 50, HOSTILE, function_name=HOSTILE, queue="mail")
    order = ["dead", "dead-41", "dead-42", LONG + ".d", "crashed", "dead-hostile", "dead-gone"]
    world.redis.rpush(world.keys.dlq("default"), *order)
    world.redis.sadd(world.keys.dlqs, "default", HOSTILE)


def ended(minutes: float) -> str:
    """Return when what began so long ago had failed."""
    return at(minutes=minutes, milliseconds=-80)


def _failed(
    world: World, job_id: str, minutes: float, error: str, queue: str = "default", **more: Any
) -> None:
    known = {"current_retries": 5, "claim_seq": 5, "worker_id": OURS, "start_time": at(minutes=minutes)}
    known |= {
        "completion_time": ended(minutes),
        "enqueue_time": at(minutes=minutes + 10),
        "last_error": error,
    }
    _job(world, job_id, queue, "FAILED", **{**known, "dlq_name": world.keys.dlq("default"), **more})


def _broken(world: World) -> None:
    _queued(world, "malformed", "default", "PENDING", {"seconds": 50}, max_retries="many" + HOSTILE)
    world.redis.set(world.keys.job("wrong-type"), "a string")
    world.queued("wrong-type", "default", ms(seconds=40))
    world.queued("id" + HOSTILE, "default", ms(seconds=20))


def _orchestrators(world: World) -> None:
    keys, redis = world.keys, world.redis
    far = NOW_MS + 400 * 86_400_000
    leases = {OURS: NOW_MS + 8_200, FOREIGN: NOW_MS + 31_000, HOSTILE: ms(seconds=47), "stray": far}
    redis.zadd(keys.workers, leases)
    redis.zadd(keys.reaping, {"rrq_worker_old_1_" + "f" * 32: ms(minutes=1)})
    runners = {
        "python": {"state": "ready", "capacity": 10, "free": 8, "restarts": 1},
        "rust": {"state": "broken", "capacity": 0, "free": 0, "last_error": HOSTILE},
        "report": {"state": "starting", "capacity": 0, "free": 0},
    }
    for name, error in (("python", None), ("rust", at(seconds=30))):
        if error is not None:
            runners[name]["last_error_at"] = error
    known = {"worker_id": OURS, "host": "web-1.example", "pid": 4711, "version": "1.0.0", "status": "running"}
    known |= {"timestamp": at(seconds=1.8), "queues": ["default", "mail", "reports.nightly"]}
    known |= {"concurrency_limit": 10, "runners": runners, "outbox": 0}
    redis.set(keys.health(OURS), json.dumps(known))
    foreign = {"worker_id": FOREIGN, "queues": ["default"], "timestamp": at(seconds=21), "active_jobs": 0}
    redis.set(keys.health(FOREIGN), json.dumps(foreign))
    hostile = {"queues": [HOSTILE], "host": HOSTILE, "pid": 2**70, "runners": {HOSTILE: {"state": HOSTILE}}}
    redis.set(keys.health(HOSTILE), json.dumps(hostile))
