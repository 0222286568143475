"""What single script calls do and cost, without any process of ours beside the server."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from rrq_protocol import Job, Keyspace, Text, transitions
from rrq_protocol.scripts import script_source
from rrq_protocol.transitions import Lease, SettleKind, Settlement, SettleReply
from support.goals.report import Report
from support.redis_choice import NoRedis, for_most
from support.redis_servers import ProcessServer
from support.transitions import Transitions

__all__ = ["beats", "calls", "cpu_s", "fill", "reclaim", "server", "stale"]

_BATCH = 16
_ROUNDS = 5
_FLEET = 20
_REPORT_BEATS = 3
_REPORT = b'{"worker_id":"rrq_worker_host_4711_0123456789abcdef0123456789abcdef","status":"running"}'.ljust(
    700
)


@contextmanager
def server() -> Iterator[Transitions]:
    """Serve a server of its own, with nothing in it."""
    if (binary := for_most().binary) is None:
        raise NoRedis(f"needs a server program of its own, have only {for_most()}")
    process = ProcessServer(binary)
    process.start()
    client = redis.Redis.from_url(process.url)
    try:
        yield Transitions(client, Keyspace("rrq"))
    finally:
        client.close()
        process.close()


def stale(report: Report, rng: random.Random, rounds: int) -> None:
    """G4: an orchestrator settles what was taken from it, in all ways, while another runs the job or after it
    has ended it. Each time it must be told so, and no field may change.
    """
    answers: list[SettleReply] = []
    changed = 0
    with server() as t:
        for number in range(rounds):
            late, owner, job_id = f"late-{number}", f"owner-{number}", f"j{number}"
            job = t.start(job_id, late)
            t.fence(late)
            _recover(t, late)
            t.register(owner)
            (again,) = t.claim(owner).jobs
            kind = rng.choice([each for each in SettleKind if each is not SettleKind.CANCEL])
            if rng.random() < 0.5:
                t.end(again, SettleKind.COMPLETE, orchestrator=owner)
            before = t.client.hgetall(t.keyspace.job(job_id))
            answers.append(t.end(job, kind, orchestrator=late))
            changed += before != t.client.hgetall(t.keyspace.job(job_id))
            if again.id == job_id and before[b"status"] == b"ACTIVE":
                t.end(again, SettleKind.COMPLETE, orchestrator=owner)
        wrong = t.audit()
    refused = answers.count(SettleReply.STALE)
    text = (
        f"{refused} of {rounds} late ends refused as stale, {changed} records changed, {len(wrong)} findings"
    )
    report.demand("G4", text, met=refused == rounds and not changed and not wrong)


def reclaim(report: Report, _rng: random.Random, jobs: int) -> None:
    """G7: take back the jobs of one dead orchestrator."""
    took_s, longest_ms = [], []
    for _ in range(_ROUNDS):
        with server() as t:
            t.register("dead")
            fill(t, jobs)
            while t.claim("dead", 1000, free={"python": 10**9}).jobs:
                pass
            t.client.config_set("slowlog-log-slower-than", 0)
            t.client.config_set("slowlog-max-len", 100_000)
            t.client.slowlog_reset()
            began = time.monotonic()
            t.fence("dead")
            _recover(t, "dead")
            took_s.append(time.monotonic() - began)
            longest_ms.append(max(entry["duration"] for entry in t.client.slowlog_get(100_000)) / 1000)
            back = int(t.client.zcard(t.keyspace.queue("default")))
            report.demand("G7", f"{back} of {jobs} jobs back", met=back == jobs)
    report.least("G7", "s for all of them", took_s, 0.5)
    report.least("G7", "ms for the longest script call", longest_ms, 5.0)


def calls(report: Report, _rng: random.Random, jobs: int) -> None:
    """G23: calls and processor time of Redis for a claim and an end of each job, 16 at a time."""
    per_job, cpu_us = [], []
    for _ in range(_ROUNDS):
        with server() as t:
            t.register("a")
            fill(t, jobs)
            t.client.config_resetstat()
            cpu, ended = cpu_s(t), 0
            while found := t.claim("a", _BATCH).jobs:
                ends = [
                    Settlement(job.id, job.claim_seq, SettleKind.COMPLETE, job.queue, "1", ttl_seconds=60)
                    for job in found
                ]
                t.settle(*ends, orchestrator="a")
                ended += len(found)
            cpu_us.append((cpu_s(t) - cpu) / ended * 1e6)
            stats: Any = t.client.info("commandstats")
        # What a script does inside counts as commands of their own; these two are what is sent.
        sent = [stats[name]["calls"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in stats]
        per_job.append(sum(sent) / ended)
    report.least("G23", f"calls a job, in batches of {_BATCH}", per_job, 0.2)
    report.least("G23", "us of processor time of Redis a job", cpu_us, 40)


def beats(report: Report, _rng: random.Random, count: int) -> None:
    """G24: time of Redis for a beat of a small fleet, one with 1,000 jobs in hand. One beat of three brings a
    report, as orchestrators send them. They beat in turn: two beats of one orchestrator within a millisecond
    take a longer way, which none goes that beats every 2 s.
    """
    fleet = [f"rrq_worker_host_{n}_{n:032x}" for n in range(_FLEET)]
    turns = count // _ROUNDS // _FLEET // _REPORT_BEATS
    plain_us, reporting_us, mean_us, empty_us = [], [], [], []
    with server() as t:
        t.register(*fleet)
        fill(t, 1000)
        t.claim(fleet[0], 1000, free={"python": 10**9})
        told, rest = (
            [
                transitions.heartbeat(t.keyspace, Lease(name, 10_000, text, 70_000)).evalsha_args()
                for name in fleet
            ]
            for text in (_REPORT, b"")
        )
        t.client.script_load(script_source("heartbeat"))
        sha = t.client.script_load("return 1")
        nothing = [(told[0][0], sha, *command[2:]) for command in told]
        for _ in range(_ROUNDS):
            plain_us.append(_call_us(t, rest * turns * (_REPORT_BEATS - 1)))
            reporting_us.append(_call_us(t, told * turns))
            empty_us.append(_call_us(t, nothing * turns))
            mean_us.append((plain_us[-1] * (_REPORT_BEATS - 1) + reporting_us[-1]) / _REPORT_BEATS)
    of_which = f"{min(plain_us):.3g} without a report, {min(reporting_us):.3g} with it"
    floor = f"an empty script with these arguments: {min(empty_us):.3g}"
    report.least("G24", f"us of Redis a beat, one call each ({of_which}; {floor})", mean_us, 10)


def _recover(t: Transitions, orchestrator: str) -> None:
    while t.recover(orchestrator).left:
        pass


def fill(t: Transitions, jobs: int) -> None:
    """Have jobs accepted."""
    for first in range(0, jobs, 500):
        t.enqueue(*(Job("f", {"n": n}, job_id=f"j{n}") for n in range(first, min(first + 500, jobs))))


def _call_us(t: Transitions, calls: Sequence[tuple[Text, ...]]) -> float:
    t.client.config_resetstat()
    for call in calls:
        t.client.execute_command(*call)
    stats: Any = t.client.info("commandstats")["cmdstat_evalsha"]
    assert stats["calls"] == len(calls)
    return float(stats["usec_per_call"])


def cpu_s(t: Transitions) -> float:
    """Return the processor time that the server has used."""
    info: Any = t.client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])
