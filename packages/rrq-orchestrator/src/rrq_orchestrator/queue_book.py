"""What the claim loop knows of its queues: which have jobs, when to look at the others; pure.

A queue is *ready* while jobs are known or said to be due in it; only ready queues are asked, so a claim costs
the same whether one queue is served or fifty. The others are looked at when their next job is due, and at the
fallback poll, which slows down from its setting to a second while nothing happens.
"""

from collections.abc import Iterable, Mapping

from rrq_protocol.transitions import QueueReply

__all__ = ["QueueBook"]

_SLOWEST_POLL_S = 1.0
_RESCAN_S = 1.0


class QueueBook:
    """Notes on the queues of one claim loop. Times are monotonic seconds unless they say ``ms``.

    Attributes:
        ready: Queues that have due jobs, as far as is known.
        hidden: Queues whose due jobs could not be taken, because their runner is full or a lock is held.
    """

    def __init__(self, weights: Mapping[str, int], poll_s: float) -> None:
        self.ready = set(weights)
        self.hidden: set[str] = set()
        self._weights, self._poll_s = weights, poll_s
        self._look_s = dict.fromkeys(weights, 0.0)
        self._after: dict[str, str] = {}
        self._woken: set[str] = set()
        self._rescan_s = 0.0
        self._idle = 0

    def woken(self, queue: str) -> None:
        """A producer left a marker."""
        if queue in self._weights:
            self.ready.add(queue)
            self._woken.add(queue)

    def asking(self, queues: Iterable[str]) -> None:
        """These are being asked: of a marker that comes from now on, the answer may not know yet."""
        self._woken.difference_update(queues)

    def freed(self) -> None:
        """A slot became free: what was passed over may be taken now."""
        self._after.clear()
        self.ready |= self.hidden

    def to_ask(self, now_s: float) -> tuple[dict[str, int], list[str]]:
        """Return the ready queues with their weights, and those whose time to be looked at has come."""
        if now_s >= self._rescan_s:
            # Jobs may have been put in front of the place where the last look stopped.
            self._after.clear()
            self._rescan_s = now_s + _RESCAN_S
        ready = {queue: self._weights[queue] for queue in self._weights if queue in self.ready}
        return ready, [q for q, look_s in self._look_s.items() if q not in self.ready and look_s <= now_s]

    def after(self, queue: str) -> str:
        """Return the score to look from, empty for the start."""
        return self._after.get(queue, "")

    def learn(self, queue: str, reply: QueueReply, server_ms: float, now_s: float) -> None:
        """Take in what a queue answered at the server's time ``server_ms``."""
        if reply.resume:
            self._after[queue] = reply.resume
        if reply.skipped:
            self.hidden.add(queue)
        else:
            self.hidden.discard(queue)
        due = reply.next_ms is not None and reply.next_ms <= server_ms
        if queue in self._woken or reply.resume or (due and not (reply.skipped and not reply.claimed)):
            self.ready.add(queue)
            return
        self.ready.discard(queue)
        look_s = now_s + (self._poll_s if reply.skipped else self.poll_s)
        if reply.next_ms is not None and not due:
            look_s = min(look_s, now_s + (reply.next_ms - server_ms) / 1000)
        self._look_s[queue] = look_s

    def rest(self, *, idle: bool) -> None:
        """Note whether the last look found nothing at all; the poll slows down with each that does not."""
        self._idle = self._idle + 1 if idle else 0

    @property
    def poll_s(self) -> float:
        """The pause of the fallback poll as it is now."""
        return min(self._poll_s * 2.0 ** min(self._idle, 10), max(_SLOWEST_POLL_S, self._poll_s))

    def next_look_s(self) -> float:
        """Return when the next queue should be looked at without being told."""
        return min(self._look_s.values(), default=float("inf"))
