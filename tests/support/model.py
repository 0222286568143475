"""What the scripts should do, in plain Python: a keyspace as a few dicts, one method per transition.

Written from table 2.2 of RELIABILITY.md, not from the scripts. It knows nothing of Redis: no TTLs in time, no
wrong types. Each method changes the model and returns the reply that the script must give.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rrq_protocol.transitions import Evidence, Repair, RepairKind, Settlement
from support.audit import Stored

__all__ = ["ENDED", "WAITING", "Model", "ModelJob", "Wanted", "seen_state"]

WAITING = ("PENDING", "RETRYING")
ENDED = ("COMPLETED", "FAILED", "CANCELLED")
COUNTED = (
    "enqueued", "requeued", "started", "completed", "failed", "cancelled", "purged", "retried", "released",
    "recovered",
)  # fmt: skip


@dataclass
class ModelJob:
    """One job. ``content`` stands for name, queue and parameters, which the digest covers."""

    id: str
    content: str
    queue: str
    due: float
    max_retries: int
    unique: str | None = None
    started: float = 0.0
    status: str = "PENDING"
    worker: str | None = None
    seq: int = 0
    retries: int = 0
    crashes: int = 0
    suspect: bool = False
    asked_to_end: bool = False
    expires: bool = False


@dataclass
class Wanted:
    """One record of an enqueue; ``due`` is absolute."""

    id: str
    content: str
    queue: str
    due: float
    max_retries: int = 2
    unique: str | None = None
    guard: str = ""
    guard_key: str = ""


@dataclass
class Model:
    """The state, and the transitions on it."""

    max_crashes: int = 2
    crash_delay: int = 1000
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    workers: dict[str, float] = field(default_factory=dict)
    reaping: dict[str, float] = field(default_factory=dict)
    dlq: list[str] = field(default_factory=list)
    unique: dict[str, str] = field(default_factory=dict)
    limits: set[str] = field(default_factory=set)
    debounce: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def copy(self) -> "Model":
        """Return an independent copy. Many are made, so only what changes is copied."""
        return replace(
            self,
            jobs={job_id: copy.copy(job) for job_id, job in self.jobs.items()},
            workers=dict(self.workers),
            reaping=dict(self.reaping),
            dlq=list(self.dlq),
            unique=dict(self.unique),
            limits=set(self.limits),
            debounce=dict(self.debounce),
            counts=Counter(self.counts),
        )

    def held_by(self, worker: str) -> list[str]:
        """Return the ids of the jobs a worker runs, in the order of its active set: by start, then id."""
        held = [job for job in self.jobs.values() if job.status == "ACTIVE" and job.worker == worker]
        return [job.id for job in sorted(held, key=lambda job: (job.started, job.id))]

    # T0, T0r, T1.

    def enqueue(self, wanted: Iterable[Wanted]) -> list[tuple[str, str]]:
        """Accept or move jobs, each on its own."""
        return [self._accept(each) for each in wanted]

    def _accept(self, w: Wanted) -> tuple[str, str]:
        job = self.jobs.get(w.id)
        if job is not None:
            if w.guard == "reschedule" and job.status in ENDED:
                return "ended", w.id
            moved = self._moved(w.id, w) if w.guard == "reschedule" else None
            return moved or (("exists" if job.content == w.content else "taken"), w.id)
        moved = self._moved(self.debounce.get(w.guard_key, ""), w) if w.guard == "debounce" else None
        if moved is not None:
            return moved
        holder = self.unique.get(w.unique) if w.unique else None
        if holder is not None and holder != w.id:
            return "unique", holder
        if w.guard == "rate_limit":
            if w.guard_key in self.limits:
                return "rate_limited", ""
            self.limits.add(w.guard_key)
        if w.guard == "debounce":
            self.debounce[w.guard_key] = w.id
        self.jobs[w.id] = ModelJob(w.id, w.content, w.queue, w.due, w.max_retries, w.unique)
        if w.unique:
            self.unique[w.unique] = w.id
        self.counts["enqueued"] += 1
        return "created", w.id

    def _moved(self, job_id: str, w: Wanted) -> tuple[str, str] | None:
        job = self.jobs.get(job_id)
        if job is None or job.status != "PENDING":
            return None
        if w.unique:
            if (holder := self.unique.get(w.unique, job_id)) != job_id:
                return "unique", holder
            if job.unique is not None:
                del self.unique[job.unique]
            self.unique[w.unique], job.unique = job_id, w.unique
        job.content, job.queue, job.due, job.max_retries = w.content, w.queue, w.due, w.max_retries
        job.retries = 0
        return "updated", job_id

    # T2.

    def claim(self, worker: str, queue: str, wanted: int, now: float) -> list[tuple[str, int]] | None:
        """Lease due jobs; None when the worker is fenced."""
        if worker not in self.workers:
            return None
        waiting = [j for j in self.jobs.values() if j.status in WAITING and j.queue == queue and j.due <= now]
        taken = sorted(waiting, key=lambda job: (job.due, job.id))[:wanted]
        for job in taken:
            job.status, job.worker, job.seq, job.started = "ACTIVE", worker, job.seq + 1, now
            self.counts["started"] += 1
        return [(job.id, job.seq) for job in taken]

    # T3 to T6, T9.

    def settle(self, worker: str, settlements: Iterable[Settlement], now: float) -> list[str]:
        """End attempts, each on its own."""
        return [self._settle(worker, each, now) for each in settlements]

    def _settle(self, worker: str, s: Settlement, now: float) -> str:
        job = self.jobs.get(s.job_id)
        if job is None:
            return "gone"
        if job.worker != worker or job.seq != s.claim_seq:
            return "stale"
        if job.status != "ACTIVE":
            return "already"
        kind = s.kind.value
        if job.asked_to_end and kind in ("retry", "release", "crash", "suspect"):
            kind = "cancel"
        if kind == "retry" and job.retries + 1 >= job.max_retries:
            job.retries += 1
            self._end(job, "FAILED")
        elif kind == "retry":
            job.retries += 1
            job.suspect = False
            self._wait(job, "RETRYING", now + s.delay_ms, "retried")
        elif kind == "release":
            self._wait(job, "PENDING", now + s.delay_ms if s.due_ms is None else s.due_ms, "released")
        elif kind == "crash":
            job.crashes += 1
            job.suspect = True
            self._wait(job, "PENDING", now + s.delay_ms, "recovered")
        elif kind == "suspect":
            job.suspect = True
            self._wait(job, "PENDING", now + s.delay_ms, "recovered")
        else:
            if kind == "fail" and s.charge.value == "retry":
                job.retries = min(job.retries + 1, job.max_retries)
            job.crashes += kind == "fail" and s.charge.value == "crash"
            self._end(job, {"complete": "COMPLETED", "fail": "FAILED", "cancel": "CANCELLED"}[kind])
        return "ok"

    def _wait(self, job: ModelJob, status: str, due: float, counted: str) -> None:
        job.status, job.due = status, due
        self.counts[counted] += 1

    def _end(self, job: ModelJob, status: str) -> None:
        job.status, job.expires = status, True
        self.counts[status.lower()] += 1
        if status == "FAILED":
            self.dlq.insert(0, job.id)
        if job.unique and self.unique.get(job.unique) == job.id:
            del self.unique[job.unique]

    # Leases, T7 to T9.

    def register(self, worker: str, lease_until: float) -> None:
        """Make a worker known."""
        self.workers[worker] = lease_until

    def beat(self, worker: str, lease_until: float) -> bool:
        """Renew a lease; True when the worker is fenced."""
        if worker not in self.workers:
            return True
        self.workers[worker] = max(lease_until, self.workers[worker] + 1)
        return False

    def fence(self, worker: str, observed: float, now: float) -> bool:
        """Declare a worker dead if its lease is as observed."""
        if self.workers.get(worker) != observed:
            return False
        del self.workers[worker]
        self.reaping[worker] = now
        return True

    def deregister(self, worker: str, now: float) -> int:
        """Take a worker off the list; with jobs in its hands it is reaped."""
        self.workers.pop(worker, None)
        held = self.held_by(worker)
        if held:
            self.reaping.setdefault(worker, now)
        return len(held)

    def recover(self, worker: str, limit: int, now: float) -> tuple[int, int, int, int, int]:
        """Take back jobs of a fenced worker."""
        if worker not in self.reaping or worker in self.workers:
            return 0, 0, 0, 0, 0
        recovered = failed = cancelled = 0
        for job_id in self.held_by(worker)[:limit]:
            job = self.jobs[job_id]
            if job.asked_to_end:
                self._end(job, "CANCELLED")
                cancelled += 1
            elif job.crashes + 1 >= self.max_crashes:
                job.crashes += 1
                self._end(job, "FAILED")
                failed += 1
            else:
                job.crashes, job.worker = job.crashes + 1, None
                due = now if job.crashes == 1 else now + self.crash_delay * 2 ** (job.crashes - 2)
                self._wait(job, "PENDING", due, "recovered")
                recovered += 1
        left = len(self.held_by(worker))
        if not left:
            del self.reaping[worker]
        return recovered, failed, cancelled, 0, left

    # T10 to T14.

    def cancel(self, job_id: str) -> str:
        """End a waiting job, ask for the end of a running one."""
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status in ENDED:
            return "finished"
        if job.status == "ACTIVE":
            job.asked_to_end = True
            return "requested"
        self._end(job, "CANCELLED")
        return "cancelled"

    def requeue(self, job_ids: Sequence[str], now: float) -> list[str]:
        """Revive dead letters."""
        return [self._requeue(each, now - (len(job_ids) - n) / 1000) for n, each in enumerate(job_ids, 1)]

    def _requeue(self, job_id: str, due: float) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status != "FAILED":
            return "not_failed"
        if job.unique and self.unique.get(job.unique, job_id) != job_id:
            return "unique"
        self.dlq.remove(job_id)
        job.retries = job.crashes = 0
        job.suspect = False
        job.worker, job.asked_to_end, job.expires = None, False, False
        if job.unique:
            self.unique[job.unique] = job_id
        self._wait(job, "PENDING", due, "requeued")
        return "ok"

    def purge(self, job_ids: Sequence[str], waiting_too: bool) -> list[str]:
        """Delete what has ended, or waits."""
        return [self._purge(each, waiting_too) for each in job_ids]

    def _purge(self, job_id: str, waiting_too: bool) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status == "ACTIVE" or (job.status in WAITING and not waiting_too):
            return "busy"
        if job.status in WAITING:
            self.counts["purged"] += 1
            if job.unique and self.unique.get(job.unique) == job_id:
                del self.unique[job.unique]
        if job.status == "FAILED":
            self.dlq.remove(job_id)
        del self.jobs[job_id]
        return "ok"

    # T15.

    def evidence(self, job_id: str) -> Evidence:
        """Return what a repair has to know of a job."""
        job = self.jobs.get(job_id)
        return Evidence() if job is None else Evidence(job.status, job.worker or "", str(job.seq or ""))

    def repair(self, repairs: Sequence[Repair]) -> list[str]:
        """Repair where nothing is broken: nothing happens, whatever the caller thinks."""
        # The counters are nobody's, and no evidence of a job says anything of them.
        return [
            "fine"
            if each.kind is RepairKind.COUNTERS or each.evidence == self.evidence(each.job_id)
            else "changed"
            for each in repairs
        ]

    # Comparison.

    def state(self) -> dict[str, Any]:
        """Return all that can be compared with :func:`seen_state`."""
        queues: dict[str, dict[str, float]] = {}
        active: dict[str, list[str]] = {}
        for job in self.jobs.values():
            if job.status in WAITING:
                queues.setdefault(job.queue, {})[job.id] = job.due
            if job.status == "ACTIVE":
                active.setdefault(str(job.worker), []).append(job.id)
        facts = {
            job.id: (
                job.status, job.worker, job.seq, job.retries, job.crashes,
                job.suspect and job.status in (*WAITING, "ACTIVE"), job.queue, job.asked_to_end,
                job.expires, job.unique, job.content
            )
            for job in self.jobs.values()
        }  # fmt: skip
        return {
            "jobs": facts, "queues": queues, "active": {name: sorted(held) for name, held in active.items()},
            "dlq": self.dlq, "workers": self.workers, "reaping": self.reaping, "unique": self.unique,
            "counts": {name: n for name, n in self.counts.items() if n},
        }  # fmt: skip


def seen_state(keys: dict[str, Stored], prefix: str) -> dict[str, Any]:
    """Return what is in Redis in the form of :meth:`Model.state`."""

    def family(name: str) -> dict[str, Any]:
        start = f"{prefix}:{name}:"
        return {key[len(start) :]: stored for key, stored in keys.items() if key.startswith(start)}

    def whole(name: str) -> Any:
        stored = keys.get(f"{prefix}:{name}")
        return {} if stored is None else stored.value

    counts: Counter[str] = Counter()
    for name, stored in family("stats").items():
        if ":" not in name:
            counts.update({each: int(n) for each, n in stored.value.items() if each in COUNTED})
    facts = {}
    for job_id, stored in family("job").items():
        r = stored.value
        facts[job_id] = (
            r["status"], r.get("worker_id"), int(r.get("claim_seq", 0)), int(r["current_retries"]),
            int(r.get("crash_count", 0)), "suspect" in r and r["status"] in (*WAITING, "ACTIVE"),
            r["queue_name"].removeprefix(f"{prefix}:queue:"),
            "cancel_requested_at" in r, stored.expires, r.get("job_unique_key"),
            f"{r['function_name']} {r['job_params']}",
        )  # fmt: skip
    return {
        "jobs": facts,
        "queues": {name: stored.value for name, stored in family("queue").items()},
        "active": {name: sorted(stored.value) for name, stored in family("active:jobs").items()},
        "dlq": keys[f"{prefix}:dlq:default"].value if f"{prefix}:dlq:default" in keys else [],
        "workers": whole("workers"), "reaping": whole("reaping"),
        "unique": {name: stored.value for name, stored in family("idempotency").items()},
        "counts": {name: n for name, n in counts.items() if n},
    }  # fmt: skip
