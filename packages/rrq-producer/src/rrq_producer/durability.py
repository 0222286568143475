"""How far a job must have got before its enqueue returns (RELIABILITY.md 6.8 *Producer*). No I/O; shared by
both producers.

Theory of operation. `WAIT` asks how many replicas have what this connection wrote before, and `WAITAOF`
whether the disk has; so both are asked on the connection that brought the jobs, before it is used for
anything else. A connection that found its jobs there already has written nothing, and servers from version
7.2 on would answer of an earlier time. So the first question follows a write that changes nothing.

If the connection is lost before the answer, another server may be the primary by now, without the jobs: the
enqueue is repeated as a whole, with the same ids. One question takes a part of the time only, so that a
server that is gone is noticed.
"""

import re
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rrq_producer.attempts import Attempts
from rrq_producer.errors import DurabilityNotConfirmed, InvalidArgument
from rrq_producer.faults import RedisFault, diagnose
from rrq_producer.jobs import EnqueuedJob
from rrq_producer.packing import pack

__all__ = ["Confirmation", "Durability", "Witness", "durability_of"]

MAX_REPLICAS = 1000
_LAST_MOMENT_S = 0.25
"""A server looks about ten times a second for questions whose time is up."""
_TOLD_AGAIN = frozenset({RedisFault.RETRY, RedisFault.RECONNECT, RedisFault.NO_SCRIPT})

_replicas = re.compile(r"replicas:([1-9]\d{0,3})").fullmatch


@dataclass(frozen=True, slots=True)
class Durability:
    """What an enqueue waits for after its job was accepted.

    Attributes:
        replicas: As many replicas must have the job; 0 where the disk of the server must.
    """

    replicas: int

    @property
    def expected(self) -> str:
        """What has to be there, in words."""
        if not self.replicas:
            return "it on the disk of the server"
        return f"it on {self.replicas} replica{'' if self.replicas == 1 else 's'}"

    @property
    def needed(self) -> int:
        """How many have to confirm."""
        return self.replicas or 1

    def question(self, wait_s: float) -> bytes:
        """Return the command that waits for so long, and no longer than needed."""
        wait_ms = max(1, int(wait_s * 1000))  # 0 would be for ever
        if self.replicas:
            return pack(("WAIT", self.replicas, wait_ms))
        return pack(("WAITAOF", 1, 0, wait_ms))

    def count(self, answer: Any) -> int:
        """Return how many have confirmed."""
        return int(answer if self.replicas else answer[0])


def durability_of(text: object) -> Durability | None:
    """Return what ``durability=`` asks for, None where Redis's word is enough.

    Raises:
        InvalidArgument: It is none of the three forms.
    """
    expected = f'expected "memory", "fsync" or "replicas:N" with N from 1 to {MAX_REPLICAS}'
    if not isinstance(text, str):
        raise InvalidArgument("durability", f"{expected}, got {type(text).__name__[:80]}")
    if text in ("memory", "fsync"):
        return Durability(0) if text == "fsync" else None
    match = _replicas(text)
    if match is None or int(match[1]) > MAX_REPLICAS:
        raise InvalidArgument("durability", f"{expected}, got {text[:80]!r}")
    return Durability(int(match[1]))


class Confirmation:
    """The questions after one exchange, and what was answered.

    Args:
        durability: What is asked for.
        stats_key: The counters of a queue, which the first question writes to without changing them.

    Attributes:
        owed: How many replies are under way; none may be left when the connection is given back.
        confirmed: How many have confirmed so far.
        problem: Why the server would not answer; empty where it did.
        waited_s: Seconds from the first question to the last answer.
    """

    def __init__(self, durability: Durability, stats_key: str) -> None:
        self._durability, self._stats_key = durability, stats_key
        self.restart()

    def restart(self) -> None:
        """Forget what was asked: the jobs are sent anew."""
        self.owed = self.confirmed = 0
        self.problem, self.waited_s = "", 0.0
        self._started: float | None = None
        self._again: Exception | None = None

    def lapsed(self, error: BaseException, attempts: Attempts) -> bool:
        """Return whether the time of the call is up before the answer came: it counts as missed, and the
        connection is to be closed."""
        return type(error).__name__ == "TimeoutError" and attempts.remaining_s < _LAST_MOMENT_S

    @property
    def missed(self) -> bool:
        """Whether what was asked for has not been confirmed."""
        return bool(self.problem) or self.confirmed < self._durability.needed

    def next(self, attempts: Attempts) -> bytes | None:
        """Return what is to be sent next, None when enough is known or the time is up.

        Raises:
            Exception: The server cannot say now: what it answered. The whole call is to be repeated.
        """
        if self._again is not None:
            raise self._again
        if self.problem or not self.missed:
            return None
        if self._started is not None and attempts.remaining_s <= _LAST_MOMENT_S:
            return None
        question = self._durability.question(attempts.limit_s / 4)
        self.owed = 1
        if self._started is None:
            self._started = monotonic()
            self.owed = 2
            question = pack(("HINCRBY", self._stats_key, "enqueued", 0)) + question
        return question

    def take(self, reply: object) -> None:
        """Take a reply, or an error reply after which the connection is still open."""
        self.owed -= 1
        self.waited_s = monotonic() - (self._started or 0.0)
        if not isinstance(reply, Exception):
            if not self.owed:  # the first one is of the write
                self.confirmed = self._durability.count(reply)
            return
        failure = diagnose(reply)
        # Said by a primary that has become a replica.
        if failure.fault in _TOLD_AGAIN or "replica instances" in failure.problem:
            self._again = reply
        else:
            self.problem = self.problem or failure.problem

    def error(self, address: str, job: EnqueuedJob | None = None) -> DurabilityNotConfirmed:
        """Return what tells that it was missed; ``job`` is the one that was accepted, if it was a single
        one."""
        return DurabilityNotConfirmed(
            job,
            address,
            self._durability.expected,
            needed=self._durability.needed,
            confirmed=self.confirmed,
            waited_s=self.waited_s,
            problem=self.problem,
        )


class Witness:
    """What one ``enqueue_many`` waits for, chunk by chunk. Once one was missed, the rest is sent without
    waiting: all jobs are to be written.

    Attributes:
        missed: The question that was not answered as asked for.
    """

    def __init__(self, durability: Durability | None) -> None:
        self._durability = durability
        self._asked: Confirmation | None = None
        self.missed: Confirmation | None = None

    def asks(self) -> bool:
        """Whether there is still something to wait for."""
        return self._durability is not None and self._look() is None

    def next(self, stats_key: str) -> Confirmation | None:
        """Return the question that follows the next chunk."""
        if self._durability is None or not self.asks():
            return None
        self._asked = Confirmation(self._durability, stats_key)
        return self._asked

    def refused(self) -> None:
        """Take note that the chunk was refused; there was nothing to wait for."""
        self._asked = None

    def confirmed(self, outcomes: list[EnqueuedJob], address: str) -> list[EnqueuedJob]:
        """Return the outcomes of the call, all of which are what was asked for.

        Raises:
            DurabilityNotConfirmed: Some are not.
        """
        if (missed := self._look()) is None:
            return outcomes
        error = missed.error(address)
        error.tell(outcomes)
        raise error

    def _look(self) -> Confirmation | None:
        if self._asked is not None and self._asked.missed:
            self.missed = self._asked
        self._asked = None
        return self.missed
