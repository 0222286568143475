"""Group commit: enqueues awaited at the same time travel as one script call, and each gets its own answer.

Theory of operation. There is no task that lives on. Of the calls of a group, the oldest *leads*: it sends one
command for all, reads the reply and hands out the answers; the others wait to be woken. A call that finds
nothing under way goes out at once, as a group of one, so a call on its own loses nothing. Calls that begin
meanwhile gather, and go out together next: the slower the server, the larger the groups. They overtake one
another only if nothing moves for ``PATIENCE_S``: a silent connection holds up only those it carries.

Whoever leads may leave at any moment: cancelled, or out of time. The oldest that is left leads on, with the
same connection, and the others notice nothing: a command that was begun is sent to its end, by a task of its
own if it is so large that the connection may not take it at once. The oldest leads, so nobody's time ends
unnoticed.

A failed attempt counts on every member's own budget, and who has time left tries on, with the same records. A
refusal may be about one record only, and a script refused halfway has accepted the records before; so a group
that is refused goes out anew, call by call, and each gets what it deserves.

Calls that ask for the same durability share groups, and wait for its confirmation together, on the connection
that brought their jobs; the others never wait for it.

All state belongs to one event loop, and is whole at every await.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from rrq_producer.aio_connection import discard, send
from rrq_producer.aio_pool import AsyncPool, Home, Loan, take_answers
from rrq_producer.attempts import MAX_ATTEMPT_S, Attempts
from rrq_producer.durability import Confirmation, Durability
from rrq_producer.errors import RedisError, name_unsure
from rrq_producer.faults import diagnose, exchange_errors, leaves_open
from rrq_producer.jobs import CHUNK_BYTES, Chunk, EnqueuedJob, JobRules, accepted, record_bytes, refusal
from rrq_protocol import Job
from rrq_protocol.transitions import EnqueueReply, PreparedJob

__all__ = ["GROUP_JOBS", "GroupCommit"]

GROUP_JOBS = 256
"""Most jobs in a group: some 3 ms of the server's time."""
PATIENCE_S = 0.1
"""Calls that gathered wait no longer than this for the group before them."""

AT_ONCE_BYTES = 32 * 1024
"""A connection that is idle takes so much without waiting."""
_MOMENT_S = 0.05
"""A call that has less left has run out of time."""


@dataclass(slots=True, eq=False)
class _Call:
    """One enqueue. Its caller waits to be ``woken``: to find its outcome, or a group that it ``leads`` now.

    ``repeated``: the job that was found may be its own. ``alone``: it travels without company, after it was
    refused together with others. ``missed``: its durability, which was not confirmed.
    """

    job: Job
    record: PreparedJob
    attempts: Attempts
    woken: "asyncio.Future[None]"
    leads: "_Group | None" = None
    outcome: EnqueueReply | RedisError | None = None
    repeated: bool = False
    alone: bool = False
    missed: Confirmation | None = None

    @property
    def waits(self) -> bool:
        return not self.woken.done()

    def settle(self, outcome: EnqueueReply | RedisError) -> None:
        self.outcome = outcome
        if self.waits:
            self.woken.set_result(None)


@dataclass(slots=True, eq=False)
class _Group:
    """Calls that share a command; oldest first, and while it is under way one for each of its records.

    ``loan`` is the connection it is under way on, until the loop's clock says ``until``. ``sending`` sends a
    large command. Once ``sent``, all that is left to do is reading. After the ``reply`` follows the
    ``confirmation``, if one was asked for. ``pause_s`` passes before the next attempt.
    """

    members: list[_Call] = field(default_factory=list)
    chunk: Chunk | None = None
    loan: Loan | None = None
    sending: "asyncio.Task[None] | None" = None
    sent: bool = False
    reply: object = None
    confirmation: Confirmation | None = None
    until: float = 0.0
    pause_s: float = 0.0

    def heir(self) -> _Call | None:
        return next((call for call in self.members if call.waits), None)

    def pass_lead(self) -> bool:
        """Let the oldest member that waits lead; return whether there is one."""
        if (heir := self.heir()) is not None:
            heir.leads = self
            heir.woken.set_result(None)
        return heir is not None

    def gather(self, waiting: deque[_Call]) -> None:
        """Take in calls that wait, as far as there is room."""
        size = sum(record_bytes(call.record) for call in self.members)
        while waiting and len(self.members) < GROUP_JOBS and size < CHUNK_BYTES:
            if waiting[0].waits:
                if self.members and (self.members[0].alone or waiting[0].alone):
                    return
                self.members.append(waiting[0])
                size += record_bytes(waiting[0].record)
            waiting.popleft()


class GroupCommit:
    """Sends the single enqueues of an async producer that ask for one durability, in the event loop and the
    process of ``home``."""

    def __init__(
        self, home: Home, pool: AsyncPool, rules: JobRules, durability: Durability | None = None
    ) -> None:
        self.home, self._pool, self._rules = home, pool, rules
        self._durability = durability
        self._waiting: deque[_Call] = deque()
        self._under_way = self._started = 0
        self._watched = False

    async def enqueue(self, job: Job, record: PreparedJob, attempts: Attempts) -> EnqueuedJob | None:
        """Return what became of a job; None where a rate limit let none be created.

        ``record`` is the job, prepared, and what every attempt sends; ``attempts`` is the call's own budget.

        Raises:
            RRQError: As :meth:`rrq_producer.AsyncProducer.enqueue`, each call its own.
        """
        me = _Call(job, record, attempts, self.home.loop.create_future())
        self._waiting.append(me)
        self._start_more()
        try:
            await me.woken
        except BaseException:
            me.woken.cancel()
            if me.leads is not None:  # it was told to at this very moment
                await self._leave(me.leads)
            raise
        if me.leads is not None:
            await self._lead(me.leads, me)
        if isinstance(me.outcome, RedisError):
            name_unsure(me.outcome, record.job_id)
            raise me.outcome
        assert me.outcome is not None
        if (error := refusal(job, me.outcome, repeated=me.repeated)) is not None:
            raise error
        job_there = accepted(me.outcome, repeated=me.repeated)
        if me.missed is not None and job_there is not None:
            raise me.missed.error(self._pool.display, job_there)
        return job_there

    async def _lead(self, group: _Group, me: _Call) -> None:
        try:
            while me.outcome is None:
                try:
                    await self._exchange(group, me)
                except exchange_errors() as error:
                    self._failed(group, me, error)
        finally:
            await self._leave(group)

    async def _leave(self, group: _Group) -> None:
        if group.pass_lead():
            return
        self._under_way -= 1
        self._start_more()
        await self._give_up(group)

    def _start_more(self, *, impatient: bool = False) -> None:
        while self._waiting and (impatient or not self._under_way):
            group = _Group()
            group.gather(self._waiting)
            if group.pass_lead():
                self._under_way += 1
                self._started += 1
        if self._waiting and not self._watched:
            self._watched = True
            self.home.loop.call_later(PATIENCE_S / 2, self._watch, -1)

    def _watch(self, seen: int) -> None:
        # Two looks are needed: before the first, the loop may have been too busy to read any reply.
        self._start_more(impatient=self._started == seen)
        self._watched = bool(self._waiting)
        if self._watched:
            self.home.loop.call_later(PATIENCE_S / 2, self._watch, self._started)

    async def _exchange(self, group: _Group, me: _Call) -> None:
        """Try once; unless others are to read on, the group has no connection afterwards."""
        if (loan := group.loan) is None:
            if group.pause_s:
                await asyncio.sleep(group.pause_s)
            group.sent, group.reply, group.confirmation = False, None, None
            loan = group.loan = await self._pool.borrow(me.attempts)
            group.until = self.home.loop.time() + MAX_ATTEMPT_S
        try:
            async with self._limit(group, me):
                if group.reply is None:
                    if not group.sent:
                        await self._send(group, loan, me)
                    group.reply = await loan.connection.read_response(disconnect_on_error=False)
            await self._confirm(group, loan, me)
        except BaseException as error:
            if leaves_open(error):
                self._note_sent(group, unsure=group.reply is not None)
                group.loan = None
                await self._pool.give_back(loan)
                raise
            out_of_time = isinstance(error, TimeoutError) and me.attempts.remaining_s < _MOMENT_S
            only_me = out_of_time or isinstance(error, asyncio.CancelledError)
            if not (only_me and (group.sent or group.sending) and group.heir()):
                self._note_sent(group, unsure=group.reply is not None or not diagnose(error).replied)
                await self._give_up(group, error)
            raise
        group.loan = None
        try:
            self._answer(group)
        finally:
            await self._pool.give_back(loan)

    def _limit(self, group: _Group, me: _Call) -> asyncio.Timeout:
        """Return what ends with the time of the connection or of the call, whichever is first."""
        return asyncio.timeout_at(min(group.until, self.home.loop.time() + me.attempts.limit_s))

    @staticmethod
    def _note_sent(group: _Group, *, unsure: bool) -> None:
        for call in group.members:
            call.attempts.repeated = call.attempts.repeated or unsure

    async def _confirm(self, group: _Group, loan: Loan, me: _Call) -> None:
        """Ask for the durability of what was accepted, or read on where a leader before has asked."""
        if self._durability is None:
            return
        if (asking := group.confirmation) is None:
            asking = Confirmation(self._durability, self._rules.stats_key(group.members[0].job))
            group.confirmation = asking
        try:
            while True:
                if not asking.owed:
                    if (question := asking.next(me.attempts)) is None:
                        return
                    group.sent = False
                    group.until = self.home.loop.time() + MAX_ATTEMPT_S
                    async with self._limit(group, me):
                        await send(loan.connection, question)
                    group.sent = True
                async with self._limit(group, me):
                    await take_answers(loan.connection, asking)
        except TimeoutError as error:
            # The oldest one's time is up, and so is that of the others, but for a moment.
            if not asking.lapsed(error, me.attempts):
                raise
            await discard(loan.connection)

    async def _send(self, group: _Group, loan: Loan, me: _Call) -> None:
        """Send the command, or see to its end what a leader before began to send."""
        if group.sending is None:
            command = self._load(group, me)
            if len(command) <= AT_ONCE_BYTES:
                await send(loan.connection, command)
            else:
                group.sending = self.home.loop.create_task(send(loan.connection, command))
                group.sending.add_done_callback(_retrieve)
        if group.sending is not None:
            await asyncio.shield(group.sending)
        group.sending, group.sent = None, True

    async def _give_up(self, group: _Group, error: BaseException | None = None) -> None:
        """Close the group's connection, if it has one."""
        if group.sending is not None:
            group.sending.cancel()
            group.sending = None
        if (loan := group.loan) is not None:
            group.loan = None
            await self._pool.give_up(loan, error)

    def _load(self, group: _Group, me: _Call) -> bytes:
        """Return the command for those who are still there."""
        if group.chunk is None:
            group.gather(self._waiting)
        members = group.members = [call for call in group.members if call is me or call.waits]
        group.chunk = self._rules.chunk([call.job for call in members], [call.record for call in members])
        unknown = any(call.attempts.script_missing for call in members)
        return group.chunk.eval() if unknown else group.chunk.evalsha()

    def _answer(self, group: _Group) -> None:
        assert group.chunk is not None
        own: set[str] = set()
        missed = group.confirmation if group.confirmation is not None and group.confirmation.missed else None
        for call, outcome in zip(group.members, group.chunk.call.result(group.reply), strict=True):
            call.missed = missed
            if call.attempts.repeated or call.alone:  # of several calls for one id, the first created the job
                call.repeated = outcome.job_id not in own
                own.add(outcome.job_id)
            call.settle(outcome)

    def _failed(self, group: _Group, me: _Call, error: Exception) -> None:
        """Take note of a failed attempt, and tell those for whom it was the last."""
        only_me = group.loan is not None
        if not only_me and len(group.members) > 1 and group.sent and diagnose(error).begun:
            for call in group.members:
                call.alone = True
            self._waiting.extendleft(call for call in reversed(group.members) if call is not me)
            group.members = [me]
            return
        pauses: list[float] = []
        for call in [me] if only_me else group.members:
            try:
                pauses.append(call.attempts.pause_after(error))
            except RedisError as failure:
                call.settle(failure)
        group.pause_s = min(pauses, default=0.0)


def _retrieve(task: "asyncio.Task[None]") -> None:
    # Whoever would have been told may be gone by now.
    if not task.cancelled():
        task.exception()
