"""What becomes of the jobs of one ``enqueue_many``, call by call. Pure; shared by both producers.

Theory of operation. Jobs travel in chunks. Until its answer is there, a chunk is *pending*; what is known of
each job is kept by its position, so answers may come in any order. Three things can go wrong with a chunk:

- Its answer is lost. It is sent again, and what is found then is its own. If the time runs out first, the
  error says of which jobs nothing is known.
- The server cannot take it (no memory, no way to reach it, not allowed to talk to it): none of it was
  accepted, nothing further is sent, and the error says what was accepted before.
- The server refuses it while it works on it, which may be because of one job only. The script has then
  accepted the jobs before that one, and told nobody. So the jobs of the chunk are asked for one by one: those
  that are there are its own, the others get what they deserve. Nothing further is sent if one is refused.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rrq_producer.errors import DuplicateJob, ProducerClosed, RedisError, RedisRefused, WrongKeyType
from rrq_producer.faults import diagnose
from rrq_producer.jobs import Chunk, EnqueuedJob, JobRules, accepted, refusal
from rrq_protocol import Job
from rrq_protocol.transitions import EnqueueKind

__all__ = ["Bulk", "Part"]


@dataclass(slots=True, eq=False)
class Part:
    """A chunk without an answer.

    Attributes:
        chunk: The jobs.
        own: Jobs that are found there may have been created by an earlier attempt.
        lost: An answer of an earlier attempt was lost.
        alone: It is one job of a chunk that was refused.
    """

    chunk: Chunk
    own: bool = False
    lost: bool = False
    alone: bool = False


class Bulk:
    """The jobs of one call.

    Attributes:
        pending: What is to be sent next, in order.

    Raises:
        InvalidJob: A job is wrong; the text names its position, and nothing is sent.
    """

    def __init__(self, rules: JobRules, jobs: Sequence[Job]) -> None:
        self._rules = rules
        self.pending = deque(Part(chunk) for chunk in rules.many(jobs))
        self._kept_back: deque[Part] = deque()
        self._outcomes: list[EnqueuedJob | None] = [None] * len(jobs)
        self._unknown: dict[int, str] = {}
        self._duplicate: DuplicateJob | WrongKeyType | None = None
        self._refused: RedisRefused | None = None

    def next(self) -> Part | None:
        """Return what is to be sent next, None when there is nothing more."""
        if not self.pending and self._refused is None:
            self.pending, self._kept_back = self._kept_back, self.pending
        return self.pending[0] if self.pending else None

    def sending_ahead(self) -> "Ahead":
        """Return what follows several parts that are under way at a time."""
        return Ahead(self)

    def answered(self, part: Part, reply: object, *, repeated: bool = False) -> None:
        """Take the answer to a part."""
        chunk, own = part.chunk, repeated or part.own
        outcomes = chunk.call.result(reply)
        self.pending.remove(part)
        for index, (job, outcome) in enumerate(zip(chunk.jobs, outcomes, strict=True), chunk.first):
            if outcome.kind is EnqueueKind.CREATED:
                self._outcomes[index] = EnqueuedJob(outcome.job_id, True)
            elif (error := refusal(job, outcome, repeated=own, index=index)) is None:
                self._outcomes[index] = accepted(outcome, repeated=own)
            elif self._duplicate is None or index < _index(self._duplicate):
                self._duplicate = error

    def refused(self, part: Part, error: RedisRefused) -> None:
        """Take note that the server refuses a part; its jobs may be asked for one by one.

        Raises:
            RedisRefused: It was refused as a whole.
        """
        if not error.begun:
            raise error
        part.lost = part.lost or error.unsure
        self.pending.remove(part)
        if not part.alone:
            # What was begun already is seen to its end.
            self._kept_back.extend(each for each in self.pending if not each.own)
            self.pending = deque(each for each in self.pending if each.own)
        if len(part.chunk.jobs) > 1:
            singles = [Part(each, True, part.lost, True) for each in self._rules.singles(part.chunk)]
            self.pending.extendleft(reversed(singles))
            return
        self._refused = self._refused or error
        if part.lost:
            self._not_known(part)

    def tell(self, error: RedisError | ProducerClosed) -> None:
        """Tell an error that ends the call what is known of each job."""
        if isinstance(error, RedisError) and error.unsure and self.pending:
            self.pending[0].own = True
        for part in (*self.pending, *self._kept_back):
            if part.own:
                self._not_known(part)
        error.tell(self._outcomes, dict(sorted(self._unknown.items())))

    def _not_known(self, part: Part) -> None:
        ids = (record.job_id for record in part.chunk.records)
        self._unknown.update(enumerate(ids, part.chunk.first))

    def result(self) -> list[EnqueuedJob]:
        """Return the outcomes, one per job, in order.

        Raises:
            RedisRefused: The server refused some of them.
            DuplicateJob: A job was not accepted. It is the first one, and carries what became of all.
            WrongKeyType: Likewise.
        """
        if self._refused is not None:
            raise self._refused  # whoever catches it tells it the rest
        if self._duplicate is not None:
            self._duplicate.tell(self._outcomes)
            raise self._duplicate
        return [outcome for outcome in self._outcomes if outcome is not None]


class Ahead:
    """Parts that are sent without waiting for each answer."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        self._parts = tuple(bulk.pending)
        self._begun: deque[Part] = deque()

    def commands(self) -> Iterator[bytes]:
        """Yield the commands; each is on its way once the next is asked for."""
        for part in self._parts:
            self._begun.append(part)
            yield part.chunk.evalsha()

    def answered(self, reply: object) -> None:
        """Take the next answer: a reply, or an error reply of the server; the part is then left pending."""
        part = self._begun.popleft()
        if not isinstance(reply, Exception):
            self._bulk.answered(part, reply)
        elif diagnose(reply).begun:
            part.own = True  # the script may have accepted some of it

    def lost(self) -> None:
        """Take note that the connection is gone: what was begun may have been accepted."""
        for part in self._begun:
            part.own = part.lost = True


def _index(error: DuplicateJob | WrongKeyType) -> int:
    return -1 if error.index is None else error.index
