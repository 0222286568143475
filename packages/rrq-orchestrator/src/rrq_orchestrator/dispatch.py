"""Handing claimed jobs to runners, and their ends to the settler (ARCHITECTURE.md, steps 4 and 5;
RUNNER_PROTOCOL.md *Deadline ladder*).

The dispatcher owns the table of attempts. It runs in the event loop only and never waits: runners call it
back, a timer watches the earliest deadline. The job's timeout starts here, so waiting for a slot never eats
it.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.attempts import Attempt, AttemptTable, Stage
from rrq_orchestrator.decision import Decision, Lost, Policy, Unanswered, decide
from rrq_orchestrator.history import MAX_ERROR_CHARS, appended, bounded, given_back, traceback_of
from rrq_orchestrator.meters import Meters
from rrq_orchestrator.routing import Routes
from rrq_orchestrator.runners.base import Isolation, LostCause, NoCapacity, Runner
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.suspects import Suspects
from rrq_orchestrator.telling import Narrator, tell
from rrq_orchestrator.tracing import AttemptTracing
from rrq_orchestrator.wiretime import InstantFormatter
from rrq_protocol import (
    Clock,
    ErrorType,
    FrameTooLarge,
    NotSerialisable,
    WireContext,
    WireOutcome,
    WireRequest,
)
from rrq_protocol.transitions import Charge, ClaimedJob, Malformed, SettleKind, Settlement

__all__ = ["DispatchLimits", "Dispatcher"]


class DispatchLimits(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes; the names are those of the settings."""

    default_timeout_s: float = 300.0
    cancel_grace_s: float = 5.0
    result_ttl_s: float = 86_400.0
    failed_ttl_s: float = 604_800.0
    dlq_name: str = "default"
    max_result_bytes: int = 16 * 1024 * 1024
    response_timeout_s: Mapping[str, float] = {}


class Dispatcher:
    """Implements :class:`~rrq_orchestrator.runners.base.RunnerListener`. ``leaving`` is why attempts are
    given back once its orchestrator stops; ``narrator`` tells of each one, where that is wanted.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        policy: Policy,
        limits: DispatchLimits,
        settler: Settler,
        clock: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        tracing: AttemptTracing | None = None,
        correlate: Callable[[ClaimedJob], ClaimedJob] | None = None,
    ) -> None:
        self.attempts, self.meters = AttemptTable(), Meters()
        self.leaving = "its orchestrator stopped"
        self.narrator: Narrator | None = None
        self.runners: Mapping[str, Runner] = {}
        self._suspects = Suspects()
        self._recounts = itertools.count(1)
        self._routes, self._policy, self._limits = routes, policy, limits
        self._settler, self._clock, self._rng, self._log = settler, clock, rng, log
        self._tracing, self._correlate = tracing, correlate
        self._instant = InstantFormatter()
        self._watched_s = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._on_freed: Callable[[], None] = lambda: None
        self._on_capacity: Callable[[], None] = lambda: None
        self._idle = asyncio.Event()
        self._idle.set()

    def connect(
        self,
        runners: Mapping[str, Runner],
        on_freed: Callable[[], None],
        on_capacity: Callable[[], None] = lambda: None,
    ) -> None:
        """Give the dispatcher its runners, and whom to tell of a free slot and of another number of slots."""
        self.runners, self._on_freed, self._on_capacity = runners, on_freed, on_capacity

    def free(self) -> dict[str, int]:
        """Return the free slots per runner."""
        return {name: runner.free for name, runner in self.runners.items()}

    def alone(self) -> dict[str, int]:
        """Return how many suspects can be taken, per runner that has places for them."""
        return self._suspects.room(self.runners)

    @property
    def hopeless(self) -> bool:
        """Whether no runner will take anything before a person changes something: none works, none runs."""
        return not self.attempts and all(runner.state == "broken" for runner in self.runners.values())

    async def drained(self) -> None:
        """Wait until no attempt is left."""
        await self._idle.wait()

    # From the claim loop.

    def dispatch(self, jobs: Iterable[ClaimedJob], owner: str) -> None:
        """Hand over jobs claimed under the orchestrator id ``owner``; each is settled, whatever happens."""
        now_s, now_ms = self._clock.monotonic(), self._clock.now_ms()
        for job in jobs:
            try:
                self._begin(job, owner, now_s, now_ms)
            except Exception as error:  # noqa: BLE001 - one job must not take along those claimed with it
                reason = self._undispatched(job, error)
                self._settler.put(owner, self._dead_letter(job.id, job.claim_seq, job.queue, reason))
        if self._suspects:
            self._try_suspects()
        if self.attempts:
            self._idle.clear()

    def _begin(self, job: ClaimedJob, owner: str, now_s: float, now_ms: int) -> None:
        if self._correlate is not None:
            job = self._correlate(job)
        name, handler = self._routes.of_job(job.function_name, job.queue)
        timeout_s = job.timeout_seconds if job.timeout_seconds is not None else self._limits.default_timeout_s
        timeout_s = min(timeout_s, self._limits.response_timeout_s.get(name, timeout_s))
        attempt = Attempt(job, owner, name, handler, timeout_s)
        if self.attempts.get(attempt.request_id) is not None:
            # The record's count began again: Redis went back (F28), or somebody made the record anew. The
            # runner's answer to the former attempt, whose end will be stale, must not end this one.
            attempt.request_id += f".{owner[-8:]}.{next(self._recounts)}"
        self.meters.claim(job.queue, now_ms - job.due_ms)
        attempt.start(now_s, now_ms)
        if job.cancel_requested or self.attempts.is_unwanted(attempt.request_id):
            attempt.stage = Stage.CANCELLING
            self._close(attempt, Unanswered(), None)
        elif job.suspect and self._suspects.detain(attempt, self.runners.get(name)):
            self.attempts.add(attempt)
        else:
            self._submit(attempt, self.runners.get(name))

    def refuse(self, malformed: Iterable[Malformed], owner: str) -> None:
        """Dead-letter records that cannot be read; they never reach a runner (F83)."""
        for record in malformed:
            self.meters.refuse(record.queue)
            self._log.warning("job.malformed", job_id=record.id, queue=record.queue, reason=record.reason)
            self._settler.put(
                owner, self._dead_letter(record.id, record.claim_seq, record.queue, record.reason)
            )

    def _submit(self, attempt: Attempt, runner: Runner | Isolation | None) -> None:
        if runner is None:
            known = ", ".join(sorted(self.runners)) or "none"
            message = f"no runner named {attempt.runner!r} is configured here; configured: {known}"
            self._close(attempt, attempt.failure(message, ErrorType.HANDLER_NOT_FOUND), None)
            return
        job = attempt.job
        if self._tracing is not None:
            self._tracing.begin(attempt)
        request = WireRequest(
            request_id=attempt.request_id,
            job_id=job.id,
            function_name=attempt.handler,
            params=job.params,
            context=WireContext(
                job_id=job.id,
                attempt=job.current_retries + 1,
                enqueue_time=job.enqueue_time,
                queue_name=job.queue,
                deadline=self._instant(attempt.started_ms + round(attempt.timeout_s * 1000)),
                trace_context=attempt.trace_context,
                correlation_context=job.correlation_context,
                worker_id=attempt.owner,
            ),
        )
        try:
            runner.submit(request)
        except FrameTooLarge as error:
            message = f"the request is too large for a frame: {error}"
            self._close(attempt, attempt.failure(message, ErrorType.PAYLOAD_TOO_LARGE), None)
        except NoCapacity as error:
            # The slot went away between claim and dispatch, with its process.
            self._close(attempt, Lost(LostCause.STOPPED, str(error)), None)
        except NotSerialisable as error:
            self._close(attempt, attempt.failure(str(error), ErrorType.BAD_MESSAGE), None)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one request, the others go on
            self._close(attempt, attempt.failure(self._undispatched(job, error), ErrorType.BAD_MESSAGE), None)
        else:
            self.attempts.add(attempt)
            if attempt.deadline_s < self._watched_s:
                self._watch(attempt.deadline_s)
            if self.narrator is not None:
                self.narrator.started(attempt)

    def _undispatched(self, job: ClaimedJob, error: Exception) -> str:
        self._log.error("dispatch.failed", job_id=job.id, error=str(error), exc_info=error)
        return f"the orchestrator could not hand it to its runner: {type(error).__name__}: {error}"

    def _try_suspects(self) -> None:
        """Start those attempts that have to run alone and now can; give back those that cannot here."""
        for attempt, where in self._suspects.released(self.runners):
            self.attempts.pop(attempt.request_id)
            attempt.start(self._clock.monotonic(), self._clock.now_ms())
            self._submit(attempt, where)
        for attempt in self._suspects.surplus(self.runners):
            self.attempts.pop(attempt.request_id)
            self._close(attempt, Lost(LostCause.STOPPED, "no process of its own came up"), None)

    # From the runners.

    def outcome(self, runner: str, outcome: WireOutcome) -> None:
        """Take the end of an attempt from its runner."""
        attempt = self.attempts.pop(outcome.request_id or "")
        if attempt is None:
            self._log.debug("response.stray", runner=runner, request_id=outcome.request_id)
            return
        if len(outcome.result) > self._limits.max_result_bytes:
            message = (
                f"the result has {len(outcome.result)} bytes, the limit is {self._limits.max_result_bytes}"
            )
            outcome = attempt.failure(message, ErrorType.RESULT_TOO_LARGE)
        self._close(attempt, outcome, traceback_of(outcome.error))
        self._freed()

    def lost(self, runner: str, request_ids: Sequence[str], cause: LostCause, detail: str) -> None:
        """Take back attempts whose runner will never answer."""
        lost = Lost(cause, detail, shared=len(request_ids) > 1)
        for request_id in request_ids:
            attempt = self.attempts.pop(request_id)
            if attempt is not None:
                self._close(attempt, lost, None)
        if lost.shared and cause is LostCause.CRASHED:
            self._suspects.prepare(self.runners[runner], len(request_ids))
        self._freed()

    def capacity_changed(self, runner: str) -> None:
        """Tell the claim loop that a runner has more or fewer slots."""
        if self._suspects:
            self._try_suspects()
        self._on_freed()
        self._on_capacity()

    # From control, shutdown and the lease.

    def cancel_job(self, job_id: str, claim_seq: int | None = None) -> bool:
        """Ask the runner to end a job's attempt, then as at a deadline; True if it is here."""
        held = [a for a in self.attempts.of_job(job_id) if claim_seq is None or a.job.claim_seq == claim_seq]
        for attempt in held:
            if attempt.stage in (Stage.RUNNING, Stage.WAITING):
                self._ask_to_end(attempt, Stage.CANCELLING)
        if not held and claim_seq is not None:
            self.attempts.forewarn(f"{job_id}.{claim_seq}")
        return bool(held)

    def release_waiting(self) -> None:
        """Give back the attempts that have not started: shutdown (RELIABILITY.md 6.8)."""
        for attempt in [each for each in self.attempts if each.stage is Stage.WAITING]:
            self._ask_to_end(attempt, Stage.RELEASING)
        self._freed()

    def release_all(self) -> None:
        """Ask the runners to end all attempts, to be given back uncounted."""
        for attempt in list(self.attempts):
            self._ask_to_end(attempt, Stage.RELEASING)

    def disown_all(self) -> None:
        """Ask the runners to end all attempts, whose jobs were taken away (RELIABILITY.md 6.6, F5)."""
        for attempt in list(self.attempts):
            self._ask_to_end(attempt, Stage.DISOWNED)

    def forget_all(self) -> None:
        """Give back all attempts without waiting for their runners, which are being ended."""
        for attempt in list(self.attempts):
            self.attempts.pop(attempt.request_id)
            if attempt.stage is not Stage.DISOWNED:
                attempt.stage = Stage.RELEASING
            self._close(attempt, Unanswered(), None)
        self._freed()

    def _ask_to_end(self, attempt: Attempt, stage: Stage) -> None:
        started = attempt.stage is not Stage.WAITING
        attempt.stage = stage
        if not started:
            self.attempts.pop(attempt.request_id)
            self._close(attempt, Unanswered(), None)
            return
        attempt.deadline_s = self._clock.monotonic() + self._limits.cancel_grace_s
        runner = self.runners.get(attempt.runner)
        if runner is not None:
            runner.cancel(attempt.request_id, attempt.job.id)
        if attempt.deadline_s < self._watched_s:
            self._watch(attempt.deadline_s)

    # Deadlines: one timer, set no later than the earliest of them. It may fire for an attempt that has ended;
    # then it only looks for the next one. That is cheaper than a timer or a heap entry per attempt.

    def _watch(self, earliest_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watched_s = earliest_s
        if earliest_s != float("inf"):
            delay_s = max(0.0, earliest_s - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_deadline)

    def _on_deadline(self) -> None:
        self._watch(float("inf"))
        for attempt in self.attempts.expired(self._clock.monotonic()):
            if attempt.stage is Stage.RUNNING:
                self._ask_to_end(attempt, Stage.TIMING_OUT)
            else:
                self._give_up(attempt)
        earliest_s = self.attempts.next_deadline_s()
        if earliest_s < self._watched_s:
            self._watch(earliest_s)
        self._freed()

    def _give_up(self, attempt: Attempt) -> None:
        """The grace is over: the process that holds the attempt is replaced, and the attempt ends here."""
        self._log.warning(
            "attempt.unanswered", runner=attempt.runner, job_id=attempt.job.id, stage=attempt.stage.value
        )
        self.attempts.pop(attempt.request_id)
        runner = self.runners.get(attempt.runner)
        shared = runner is not None and runner.quarantine(attempt.request_id)
        self._close(attempt, Unanswered(shared=shared), None)

    # The end of an attempt.

    def _close(self, attempt: Attempt, ended: WireOutcome | Lost | Unanswered, traceback: str | None) -> None:
        decision = decide(attempt.job, ended, attempt.stage, self._policy, self._rng)
        self.meters.end(attempt, decision.kind, self._clock.monotonic(), self.runners)
        if self._tracing is not None:
            self._tracing.end(attempt, decision)
        if decision.kind is SettleKind.COMPLETE and isinstance(ended, WireOutcome):
            self._settler.put(attempt.owner, self._completed(attempt, ended))
        else:
            self._settler.put(attempt.owner, self._ended(attempt, decision, traceback))

    def _run_ms(self, attempt: Attempt) -> int:
        return int(max(0.0, self._clock.monotonic() - attempt.started_s) * 1000)

    def _completed(self, attempt: Attempt, outcome: WireOutcome) -> Settlement:
        job = attempt.job
        ttl_s = self._limits.result_ttl_s if job.result_ttl_seconds is None else job.result_ttl_seconds
        result, run_ms = bytes(outcome.result) or b"null", self._run_ms(attempt)
        if self.narrator is not None:
            self.narrator.completed(attempt, result, run_ms)
        return Settlement(
            job.id, job.claim_seq, SettleKind.COMPLETE, job.queue, result,
            ttl_seconds=ttl_s, run_ms=run_ms, runner=attempt.runner, started=job.started,
        )  # fmt: skip

    def _ended(self, attempt: Attempt, decision: Decision, traceback: str | None) -> Settlement:
        job, limits = attempt.job, self._limits
        now_ms = self._clock.now_ms()
        log = appended(attempt, decision, traceback, now_ms) if decision.outcome else None
        released = (decision.reason or self.leaving) if decision.kind is SettleKind.RELEASE else ""
        tell(self._log, attempt, decision, released)
        return Settlement(
            job.id,
            job.claim_seq,
            decision.kind,
            job.queue,
            given_back(attempt, released, now_ms) if released else bounded(decision.error, MAX_ERROR_CHARS),
            delay_ms=decision.delay_ms,
            # Given back, it takes the place it had; unless the runner asked for a moment's peace.
            due_ms=None if decision.delay_ms else job.due_ms,
            charge=decision.charge,
            ttl_seconds=limits.failed_ttl_s if decision.kind is SettleKind.FAIL else limits.result_ttl_s,
            dlq_name=job.dlq_name or limits.dlq_name,
            attempts_log=log,
            run_ms=self._run_ms(attempt),
            started=job.started,
        )

    def _dead_letter(self, job_id: str, claim_seq: int, queue: str, reason: str) -> Settlement:
        return Settlement(
            job_id, claim_seq, SettleKind.FAIL, queue, reason,
            charge=Charge.NONE, ttl_seconds=self._limits.failed_ttl_s, dlq_name=self._limits.dlq_name,
        )  # fmt: skip

    def _freed(self) -> None:
        if self._suspects:
            self._try_suspects()
        if not self.attempts:
            self._idle.set()
        self._on_freed()
