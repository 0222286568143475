"""What the two sides of a channel agree on: its limits, and who is told what happens."""

from typing import Protocol

import msgspec

from rrq_orchestrator.runners.base import LostCause
from rrq_protocol import Hello, WireOutcome

__all__ = ["ChannelLimits", "ChannelOwner"]


class ChannelLimits(msgspec.Struct, frozen=True):
    """What a peer may do before its process is replaced.

    Attributes:
        write_s: Longest time a frame may wait to be taken by the peer.
        frame_s: Longest time from the first to the last byte of a received frame.
        response_s: Longest wait for the response to one request; None for no limit but the job's own.
        strays: Responses in a row that nobody waits for, and messages in a row that cannot be understood.
        quiet_s: A peer that takes part is pinged when it holds requests and was quiet for so long.
        silent_s: It counts as unresponsive after so long without an answer; 0: it is not pinged.
    """

    write_s: float = 30.0
    frame_s: float = 30.0
    response_s: float | None = None
    strays: int = 100
    quiet_s: float = 1.0
    silent_s: float = 0.0


class ChannelOwner(Protocol):
    """Who holds the connection. The calls come on the event loop."""

    def answered(self, outcome: WireOutcome) -> None:
        """A request got its one response."""

    def proved(self) -> None:
        """The peer sent its first valid message: it is a runner."""

    def greeted(self, hello: Hello) -> None:
        """The peer introduced itself."""

    def unanswerable(self, request_id: str, detail: str) -> None:
        """The peer answered a request wrongly; a right answer is not to be expected (F71)."""

    def overdue(self, request_id: str, detail: str) -> None:
        """The peer did not answer a request within ``response_s``."""

    def silent(self, seconds: float) -> None:
        """The peer did not answer a ping, and was not heard for so long (F74)."""

    def heard(self, seconds: float) -> None:
        """It is heard again."""

    def ended(self, cause: LostCause, detail: str) -> None:
        """The connection is over. Called once; what is still outstanding will never be answered."""
