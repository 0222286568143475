"""What the claim loop knows of suspects that wait in its queues while no ordinary slot is free: which queues
to ask for suspects alone, and when; pure (ADR 0017).

Suspects keep their place in their queue, so they stand near its head. A queue is asked as long as suspects
are known in it: one came out of it, or was put back into it by this orchestrator. Each call looks at a few
dozen jobs; the next one goes on behind them, and once a second the head is looked at again. Of suspects whose
orchestrator is gone nobody is told: now and then one queue is asked on the chance.
"""

from collections.abc import Iterable

from rrq_protocol.transitions import QueueReply

__all__ = ["SuspectBook"]

_RESCAN_S = 1.0
_BELIEVED_S = 5.0
_ON_CHANCE_EVERY_S = 2.0


class SuspectBook:
    """Notes on the queues of one claim loop. Times are monotonic seconds.

    Args:
        queues: The queues served.
        poll_s: How often a queue that holds suspects is asked again after it gave none.
    """

    def __init__(self, queues: Iterable[str], poll_s: float) -> None:
        self._queues, self._poll_s = list(queues), min(poll_s, _RESCAN_S)
        self._believed_s: dict[str, float] = {}
        self._look_s: dict[str, float] = {}
        self._after: dict[str, str] = {}
        self._rescan_s = self._chance_s = 0.0

    def seen(self, queue: str) -> None:
        """A suspect came out of a queue, or is being put back: there may be more."""
        if queue in self._queues:
            # At the end: whoever gave one last is asked last.
            self._believed_s.pop(queue, None)
            self._believed_s[queue] = float("inf")
            self._look_s[queue] = 0.0
            self._after.pop(queue, None)

    def no_place(self) -> None:
        """None could be taken now, so what is known stays known, however long that lasts."""
        for queue in self._believed_s:
            self._believed_s[queue] = float("inf")

    def to_ask(self, now_s: float) -> list[tuple[str, str]]:
        """Return the queues to ask now, and where in them to go on: empty is the head."""
        if now_s >= self._rescan_s:
            self._after.clear()
            self._rescan_s = now_s + _RESCAN_S
        asked = [queue for queue in self._believed_s if self._look_s[queue] <= now_s]
        if now_s >= self._chance_s:
            self._chance_s = now_s + _ON_CHANCE_EVERY_S
            queue = self._queues.pop(0)
            self._queues.append(queue)
            if queue not in self._believed_s:
                asked.append(queue)
        return [(queue, self._after.get(queue, "")) for queue in asked]

    def learn(self, queue: str, reply: QueueReply, now_s: float) -> None:
        """Take in what a queue answered; that it gave suspects is told by :meth:`seen`."""
        if reply.claimed or queue not in self._believed_s:
            return
        believed_s = min(self._believed_s[queue], now_s + _BELIEVED_S)
        if now_s >= believed_s:
            del self._believed_s[queue]
            return
        self._believed_s[queue] = believed_s
        self._look_s[queue] = now_s + self._poll_s
        self._after[queue] = reply.resume

    def next_look_s(self) -> float:
        """Return when the next queue should be asked."""
        return min((self._chance_s, *(self._look_s[queue] for queue in self._believed_s)))
