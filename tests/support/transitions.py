"""Transitions carried out at once, in virtual time: what tests of the scripts start from."""

from collections.abc import Sequence
from typing import Any, TypeVar

import redis

from rrq_protocol import Job, JobRecord, Keyspace, ScriptCall, parse_record, transitions
from rrq_protocol.transitions import (
    Claim,
    ClaimedJob,
    ClaimRequest,
    EnqueueDefaults,
    EnqueueReply,
    Evidence,
    Guard,
    Lease,
    Recovered,
    RecoveryPolicy,
    Repair,
    RequeueReply,
    SettleKind,
    Settlement,
    SettleReply,
)
from support.audit import Finding, audit

__all__ = ["NOON_MS", "Transitions", "ids", "run"]

NOON_MS = 1_767_268_800_000
"""1 January 2026, 12:00 UTC: where virtual time starts."""

T = TypeVar("T")


def run(client: "redis.Redis", call: ScriptCall[T]) -> T:
    """Carry out a transition, sending the script's text if the server does not know it."""
    try:
        reply: object = client.execute_command(*call.evalsha_args())  # type: ignore[no-untyped-call]
    except redis.exceptions.NoScriptError:
        reply = client.execute_command(*call.eval_args())  # type: ignore[no-untyped-call]
    return call.result(reply)


class Transitions:
    """All transitions of one keyspace. ``now_ms`` is the time they go by; move it as you like.

    Orchestrators are registered by :meth:`register` with a lease of 10 s.
    """

    def __init__(self, client: "redis.Redis", keyspace: Keyspace) -> None:
        # The client's own types allow for clients that decode replies; this one answers in bytes.
        self.client: Any = client
        self.keyspace = keyspace
        self.now_ms = NOON_MS
        self.defaults = EnqueueDefaults()

    def run(self, call: ScriptCall[T]) -> T:
        """Carry out any transition."""
        return run(self.client, call)

    # Shortcuts.

    def enqueue(self, *jobs: Job, guard: Guard | None = None) -> tuple[EnqueueReply, ...]:
        """Accept jobs in one call."""
        prepared = [transitions.prepare(job, self.defaults, guard=guard) for job in jobs]
        return self.run(transitions.enqueue(self.keyspace, prepared, now_ms=self.now_ms))

    def add(self, job_id: str, **fields: Any) -> str:
        """Accept one job of function ``f`` and return its id."""
        (reply,) = self.enqueue(Job(**{"function_name": "f", "job_id": job_id, **fields}))
        assert reply.kind == "created", reply
        return job_id

    def register(self, *orchestrators: str, lease_ms: int = 10_000) -> None:
        """Make orchestrators known."""
        for name in orchestrators:
            lease = Lease(name, lease_ms, b"{}", 2 * lease_ms)
            self.run(transitions.register(self.keyspace, lease, now_ms=self.now_ms))

    def claim(
        self,
        orchestrator: str = "a",
        wanted: int = 10,
        queue: str = "default",
        *,
        after: str = "",
        **options: Any,
    ) -> Claim:
        """Claim from one queue that routes to the runner ``python``."""
        free = options.pop("free", {"python": 1000})
        request = ClaimRequest(queue, "python", wanted, after)
        call = transitions.claim(self.keyspace, orchestrator, [request], free, now_ms=self.now_ms, **options)
        return self.run(call)

    def start(self, job_id: str = "j", orchestrator: str = "a", **fields: Any) -> ClaimedJob:
        """Accept a job and claim it at once."""
        if self.client.zscore(self.keyspace.workers, orchestrator) is None:
            self.register(orchestrator)
        self.add(job_id, **fields)
        (job,) = self.claim(orchestrator).jobs
        return job

    def settle(
        self, *settlements: Settlement, orchestrator: str = "a", **options: Any
    ) -> tuple[SettleReply, ...]:
        """Settle attempts in one call."""
        call = transitions.settle(self.keyspace, orchestrator, settlements, now_ms=self.now_ms, **options)
        return self.run(call)

    def end(
        self, job: ClaimedJob, kind: SettleKind, text: str = "null", *, orchestrator: str = "a", **fields: Any
    ) -> SettleReply:
        """Settle one claimed attempt."""
        fields = {"ttl_seconds": 3600, "started": job.started, **fields}
        settlement = Settlement(job.id, job.claim_seq, kind, job.queue, text, **fields)
        (reply,) = self.settle(settlement, orchestrator=orchestrator)
        return reply

    def fence(self, orchestrator: str) -> bool:
        """Declare an orchestrator dead, with its lease value as it is."""
        observed = self.client.zscore(self.keyspace.workers, orchestrator)
        assert observed is not None
        return self.run(transitions.fence(self.keyspace, orchestrator, observed, now_ms=self.now_ms))

    def recover(self, orchestrator: str, limit: int = 100, **policy: Any) -> Recovered:
        """Take jobs of a dead orchestrator back."""
        rules = RecoveryPolicy(**policy)
        call = transitions.recover(self.keyspace, orchestrator, rules, limit=limit, now_ms=self.now_ms)
        return self.run(call)

    def cancel(self, job_id: str, **options: Any) -> str:
        """Cancel a job."""
        return self.run(transitions.cancel(self.keyspace, job_id, now_ms=self.now_ms, **options)).value

    def requeue(self, *job_ids: str, dlq: str = "default", **options: Any) -> tuple[RequeueReply, ...]:
        """Requeue dead letters."""
        call = transitions.requeue(self.keyspace, dlq, job_ids, now_ms=self.now_ms, **options)
        return self.run(call)

    def purge(self, *job_ids: str, dlq: str = "default", **options: Any) -> tuple[RequeueReply, ...]:
        """Delete jobs."""
        return self.run(transitions.purge(self.keyspace, dlq, job_ids, now_ms=self.now_ms, **options))

    def repair(self, *repairs: Repair) -> list[str]:
        """Put index entries right."""
        call = transitions.repair(self.keyspace, repairs, now_ms=self.now_ms)
        return [reply.value for reply in self.run(call)]

    def evidence(self, job_id: str) -> Evidence:
        """Return what a repair has to know of a job, as it is now."""
        record = self.record(job_id)
        return Evidence(*(record.get(name, "") for name in ("status", "worker_id", "claim_seq")))

    # What is stored.

    def record(self, job_id: str) -> dict[str, str]:
        """Return a job hash."""
        return _texts(self.client.hgetall(self.keyspace.job(job_id)))

    def parsed(self, job_id: str) -> JobRecord:
        """Return a job as readers see it."""
        return parse_record(self.client.hgetall(self.keyspace.job(job_id)))

    def queued(self, queue: str = "default") -> list[str]:
        """Return the ids in a queue, in the order they become due."""
        return list(_texts(self.client.zrange(self.keyspace.queue(queue), 0, -1, withscores=True)))

    def due_ms(self, job_id: str, queue: str = "default") -> float | None:
        """Return when a job is due, None where it is not in the queue."""
        due: float | None = self.client.zscore(self.keyspace.queue(queue), job_id)
        return due

    def dead(self, dlq: str = "default") -> list[str]:
        """Return the ids in a DLQ, newest first."""
        found: Any = self.client.lrange(self.keyspace.dlq(dlq), 0, -1)
        return [each.decode() for each in found]

    def held(self, orchestrator: str = "a") -> list[str]:
        """Return the ids in an active set."""
        return list(_texts(self.client.zrange(self.keyspace.active(orchestrator), 0, -1, withscores=True)))

    def counts(self, queue: str = "default") -> dict[str, int]:
        """Return the counters of a queue."""
        found = _texts(self.client.hgetall(self.keyspace.stats(queue)))
        return {name: int(value) for name, value in found.items()}

    def audit(self, **options: Any) -> tuple[Finding, ...]:
        """Return what the auditor finds; all producers here count, so counters must add up."""
        options = {"conserved": True, "max_crashes": 3, **options}
        return audit(self.client, self.keyspace, **options)


def _texts(reply: Any) -> dict[str, str]:
    pairs = reply.items() if isinstance(reply, dict) else reply
    return {_text(name): _text(value) if isinstance(value, bytes) else value for name, value in pairs}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def ids(jobs: Sequence[ClaimedJob]) -> list[str]:
    """Return the ids of claimed jobs."""
    return [job.id for job in jobs]
