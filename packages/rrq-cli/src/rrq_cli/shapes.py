"""What ``--json`` prints. Fields are only ever added; times are RFC 3339 UTC, durations seconds; a number
that is not finite is null.

======================  =====================================================
``queue list``          ``{"queues": [QueueInfo]}``
``queue stats``         ``{"at": time, "queues": [QueueStats]}``
``queue inspect``       :class:`QueueContent`
``queue pause, resume`` ``{"name", "result": PauseReply, "waiting"}``
``queue purge``         :class:`Purged`
``job show``            :class:`JobDetail`
``job list``            :class:`JobList`
``job trace``           :class:`~rrq_cli.timeline.Trace`
``job cancel``          ``{"id": …, "result": CancelReply}``
``job wait``            :class:`Waited`
``job replay``          :class:`Submitted`
``job why``             :class:`Why`
``dlq list``            :class:`JobList`
``dlq inspect``         :class:`JobDetail`
``dlq stats``           :class:`DeadLetterStats`
``dlq requeue``         :class:`Requeued`
``dlq purge``           :class:`Purged`
``worker list``         ``{"orchestrators": [OrchestratorInfo]}``
``worker drain``        ``{"orchestrators": [Drained]}``
``check``               :class:`Health`
``debug submit``        :class:`Submitted`
``debug generate-…``    :class:`Generated`
``debug clear``         :class:`Cleared`
``debug stress-test``   :class:`Stressed`
======================  =====================================================

``problem`` is null, or one sentence about what is wrong with the entry in Redis; the other fields then hold
what could be read.
"""

from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "Cleared",
    "DeadLetterGroup",
    "DeadLetterStats",
    "Drained",
    "Generated",
    "Health",
    "JobDetail",
    "JobList",
    "JobRow",
    "OrchestratorInfo",
    "Purged",
    "QueueContent",
    "QueueInfo",
    "QueueStats",
    "Requeued",
    "RunnerInfo",
    "Stressed",
    "Submitted",
    "Totals",
    "Waited",
    "Why",
]


class QueueInfo(msgspec.Struct, kw_only=True):
    """One queue at a glance: ``ready`` jobs are due, ``later`` ones are not yet."""

    name: str
    ready: int = 0
    later: int = 0
    paused: bool = False
    problem: str | None = None

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return self.ready + self.later


class Totals(msgspec.Struct, kw_only=True):
    """Counters of a queue since it exists. ``started`` and ``retried`` count attempts, the others jobs."""

    enqueued: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    recovered: int = 0
    released: int = 0
    requeued: int = 0


class QueueStats(QueueInfo, kw_only=True):
    """A queue in figures.

    Attributes:
        active: Jobs being executed now.
        oldest_ready_age_seconds: How long the first due job has been due.
        totals: Counters since the queue exists.
        mean_wait_seconds: Mean time from due to start, over all starts.
        mean_run_seconds: Mean time in the runner, over all attempts that ended.
        per_second_1m: Completed jobs per second over the last minute.
        per_second_1h: The same over the last hour.
        per_second_24h: The same over the last 24 hours.
        completed_per_minute: Completed jobs in each of the last 60 minutes, oldest first, the running minute
            last.
        completed_per_hour: The same for the last 24 hours, 60 minutes each.
        scanned: With ``--max-scan``: records found by status, null otherwise.
    """

    active: int = 0
    oldest_ready_age_seconds: float | None = None
    totals: Totals = msgspec.field(default_factory=Totals)
    mean_wait_seconds: float | None = None
    mean_run_seconds: float | None = None
    per_second_1m: float = 0.0
    per_second_1h: float = 0.0
    per_second_24h: float = 0.0
    completed_per_minute: list[int] = []
    completed_per_hour: list[int] = []
    scanned: dict[str, int] | None = None


class JobRow(msgspec.Struct, kw_only=True):
    """One job in a list. ``attempts`` were made, one that runs or completed included, crashes and releases
    not; ``max_attempts`` are allowed in all.
    """

    id: str
    status: str | None = None
    function_name: str | None = None
    queue_name: str | None = None
    attempts: int = 0
    max_attempts: int | None = None
    enqueued_at: datetime | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker_id: str | None = None
    last_error: str | None = None
    problem: str | None = None


class QueueContent(QueueInfo, kw_only=True):
    """The jobs of a queue in the order they become due, from ``offset`` on."""

    offset: int = 0
    jobs: list[JobRow] = []


class JobList(msgspec.Struct, kw_only=True):
    """Jobs that were found.

    Attributes:
        jobs: The entries.
        looked_at: Records read to find them.
        complete: False where looking stopped at a limit before all records were read, or where no index leads
            to what was asked for (``job list --status completed`` without ``--scan``).
        total: ``dlq list``: ids in the dead letter queues, whatever the filters; null elsewhere.
    """

    jobs: list[JobRow] = []
    looked_at: int = 0
    complete: bool = True
    total: int | None = None


class JobDetail(JobRow, kw_only=True):
    """All of one job. ``fields`` are the record's fields as stored; ``params`` and ``result`` are decoded."""

    params: Any = None
    result: Any = None
    dlq_name: str | None = None
    crashes: int = 0
    claim_seq: int = 0
    expires_in_seconds: float | None = None
    failed_attempts: list[dict[str, Any]] = []
    fields: dict[str, str] = {}


class DeadLetterGroup(msgspec.Struct, kw_only=True):
    """Dead letters of one queue, function and kind of error (numbers, ids and quoted parts left out)."""

    count: int
    queue_name: str | None
    function_name: str | None
    error: str
    newest_at: datetime | None = None
    newest_id: str = ""


class DeadLetterStats(msgspec.Struct, kw_only=True):
    """Dead letters by group, most frequent first."""

    total: int
    looked_at: int
    complete: bool
    groups: list[DeadLetterGroup] = []


class Requeued(msgspec.Struct, kw_only=True):
    """What ``dlq requeue`` did, or would do. ``results`` counts the answers; only ``ok`` changed a job."""

    dry_run: bool = False
    ids: list[str] = []
    results: dict[str, int] = {}


class Purged(msgspec.Struct, kw_only=True):
    """What a purge deleted, or would. ``results`` counts the answers; only ``ok`` is a job deleted.

    ``ids`` are those of dead letters; it is empty for a queue.
    """

    dry_run: bool = False
    ids: list[str] = []
    results: dict[str, int] = {}
    problem: str | None = None


class RunnerInfo(msgspec.Struct, kw_only=True):
    """A runner of one orchestrator, as that reports it; what it leaves out is null.

    ``state`` is ``starting``, ``ready``, ``broken`` or ``stopping``; ``capacity`` counts the slots that take
    jobs, ``free`` those that hold none. ``restarts`` counts processes that took the place of earlier ones;
    ``last_error`` is the latest failed start or unexpected end of one, however long ago. ``stale`` is there
    where processes work on although they were to be replaced: their successors do not start.
    """

    name: str
    state: str | None = None
    capacity: int | None = None
    free: int | None = None
    restarts: int | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    stale: int | msgspec.UnsetType = msgspec.UNSET


class OrchestratorInfo(msgspec.Struct, kw_only=True):
    """One orchestrator: ``live``, ``lapsed`` (its lease is past), ``reaping`` (declared dead) or ``stray``
    (its lease is no time that an orchestrator writes).

    ``status`` is what it says of itself: ``running``, ``stopping`` or ``disconnected``. ``outbox`` counts
    ends of attempts it could not write yet; ``refused`` says what Redis refuses it of what jobs need.
    ``runners`` is null where it does not report any.
    """

    id: str
    state: str
    lease_seconds_left: float | None = None
    active_jobs: int = 0
    concurrency_limit: int | None = None
    queues: list[str] = []
    host: str | None = None
    pid: int | None = None
    version: str | None = None
    reported_at: datetime | None = None
    problem: str | None = None
    status: str | None = None
    refused: str | None = None
    outbox: int | None = None
    runners: list[RunnerInfo] | None = None


class Drained(msgspec.Struct, kw_only=True):
    """Answer of ``rrq worker drain`` for one orchestrator; ``gone`` is null where nobody waited."""

    id: str
    result: str
    gone: bool | None = None


class Health(msgspec.Struct, kw_only=True):
    """Answer of ``rrq check``. ``redis_version`` and ``ping_ms`` are null where Redis did not answer.

    ``findings`` says why where it is not ``healthy``, and what else is worth a look where it is.
    """

    healthy: bool
    redis: str | None = None
    redis_version: str | None = None
    ping_ms: float | None = None
    findings: list[str] = []
    orchestrators: list[OrchestratorInfo] = []


class Submitted(msgspec.Struct, kw_only=True):
    """Answer of ``debug submit`` and ``job replay``; ``status`` and what follows only with ``--wait``."""

    id: str
    queue_name: str
    created: bool
    status: str | None = None
    result: Any = None
    error: str | None = None


class Waited(msgspec.Struct, kw_only=True):
    """Answer of ``rrq job wait``: the job after the wait. ``timed_out``: it had not ended by then."""

    id: str
    status: str | None
    timed_out: bool
    result: Any = None
    error: str | None = None


class Why(msgspec.Struct, kw_only=True):
    """Answer of ``rrq job why``.

    Attributes:
        reason: ``done``, ``running``, ``recovering``, ``broken``, ``not_queued``, ``paused``, ``later``,
            ``unknown_handler``, ``locked``, ``no_orchestrator``, ``stopping``, ``not_served``, ``no_runner``,
            ``runner_broken``, ``runner_starting``, ``runner_full``, ``limited``, ``behind`` or ``next``.
        text: The same in a sentence.
        stuck: Whether it stays so unless somebody does something.
        advice: A command that helps, or null.
    """

    id: str
    status: str | None
    reason: str
    text: str
    stuck: bool = False
    advice: str | None = None


class Generated(msgspec.Struct, kw_only=True):
    """Answer of ``debug generate-jobs`` (``jobs`` by status) and ``generate-workers`` (``orchestrators``)."""

    jobs: dict[str, int] = {}
    orchestrators: int = 0
    queues: list[str] = []


class Cleared(msgspec.Struct, kw_only=True):
    """Answer of ``debug clear``; ``results`` counts the answers, only ``ok`` is a job deleted."""

    dry_run: bool = False
    results: dict[str, int] = {}
    orchestrators: int = 0


class Stressed(msgspec.Struct, kw_only=True):
    """Answer of ``debug stress-test``; times of one enqueue call in ms, the last two only with ``--wait``."""

    enqueued: int
    seconds: float
    jobs_per_second: float
    call_ms_p50: float | None = None
    call_ms_p95: float | None = None
    call_ms_p99: float | None = None
    ended: int | None = None
    ended_per_second: float | None = None
