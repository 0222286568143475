"""The machine under both ends of a runner connection.

Theory of operation
-------------------
Either side of a connection is one object. Bytes that arrive go to
``receive``, which returns what they mean, in order. Methods that say something return the bytes to send; when
and how these are written is the caller's business. Nothing here waits, reads a clock or knows a socket, so
every order of events can be tested.

Two machines work together, both written as tables of ``(state, event) -> next state``. A pair that is not in
the table cannot happen lawfully: caused by the caller it raises, caused by the peer it becomes an event that
names the problem.

``CONNECTION`` is the life of the stream. Only a violation of the framing breaks it, for then nobody knows
where the next message begins. A message that cannot be understood inside intact framing concerns that message
alone (F68).

``REQUEST`` is the life of one request, kept per ``request_id``, the same on both sides: it is open until its
one response has passed. ``absent`` is not stored. A response meets an open request once; the second finds it
absent and is a stray (F69, F70). Cancelling asks for an early response and ends nothing by itself. Abandoning
is the orchestrator's way of no longer waiting, after a deadline; a later response is a stray as well (F72).

What is still open when a connection ends is what ``close`` returns: the only requests whose fate is unknown
(F62).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from rrq_protocol.errors import ProtocolError
from rrq_protocol.frames import FrameDecoder, Framing, LineDecoder, frame

# Plain strings, not enums: these are hashed for every message.
ConnectionState: TypeAlias = Literal["open", "broken", "closed"]
ConnectionEvent: TypeAlias = Literal["traffic", "violation", "close"]
RequestState: TypeAlias = Literal["absent", "open", "cancelling"]
RequestEvent: TypeAlias = Literal["request", "cancel", "response", "abandon"]

CONNECTION: Final[Mapping[tuple[ConnectionState, ConnectionEvent], ConnectionState]] = {
    ("open", "traffic"): "open",
    ("open", "violation"): "broken",
    ("open", "close"): "closed",
    ("broken", "close"): "closed",
    ("closed", "close"): "closed",
}

REQUEST: Final[Mapping[tuple[RequestState, RequestEvent], RequestState]] = {
    ("absent", "request"): "open",
    ("open", "cancel"): "cancelling",
    ("open", "response"): "absent",
    ("open", "abandon"): "absent",
    ("cancelling", "cancel"): "cancelling",  # repeated, perhaps with hard_kill
    ("cancelling", "response"): "absent",
    ("cancelling", "abandon"): "absent",
}


E = TypeVar("E")


class Connection(Generic[E]):
    """What both ends share: the framing, the stream's state and the open requests."""

    def __init__(self, framing: Framing, max_frame_bytes: int) -> None:
        self._framing: Framing = framing
        self._max_frame_bytes = max_frame_bytes
        self._decoder = (FrameDecoder if framing == "length" else LineDecoder)(max_frame_bytes)
        self._state: ConnectionState = "open"
        self._requests: dict[str, RequestState] = {}
        self._jobs: dict[str, str] = {}
        self.outstanding: Mapping[str, str] = MappingProxyType(self._jobs)
        """Job id by request id of every request without a response yet. A live view, oldest first."""

    @property
    def state(self) -> ConnectionState:
        """``"open"``, ``"broken"`` by a violation of the framing, or ``"closed"``."""
        return self._state

    @property
    def pending_bytes(self) -> int:
        """Bytes received of an incomplete message. Not 0 at the end of the stream: it was cut off."""
        return self._decoder.pending_bytes

    def receive(self, data: bytes) -> list[E]:
        """Take received bytes and return what they mean, in order.

        Raises:
            ProtocolError: The framing is broken, or the connection is not open. ``error.completed`` holds the
                events before the violation; handle them, then close.
        """
        self._pass("traffic")
        try:
            bodies = self._decoder.feed(data)
        except ProtocolError as violation:
            self._pass("violation")
            violation.completed = tuple(self._event(body) for body in violation.completed)
            raise
        return [self._event(body) for body in bodies]

    def close(self) -> tuple[str, ...]:
        """End the connection and return the ids of the requests that have no response, oldest first.

        Afterwards every method that sends or receives raises :class:`ProtocolError`.
        """
        self._pass("close")
        left = tuple(self._jobs)
        self._jobs.clear()
        self._requests.clear()
        return left

    def _pass(self, event: ConnectionEvent) -> None:
        try:
            self._state = CONNECTION[self._state, event]
        except KeyError:
            raise ProtocolError(f"the connection is {self._state}; open a new one") from None

    def _step(self, request_id: str, event: RequestEvent) -> bool:
        """Apply an event to a request; False, and no change, if it is not lawful in the request's state."""
        try:
            state = REQUEST[self._requests.get(request_id, "absent"), event]
        except KeyError:
            return False
        if state == "absent":
            del self._requests[request_id], self._jobs[request_id]
        else:
            self._requests[request_id] = state
        return True

    def _may(self, request_id: str, event: RequestEvent) -> bool:
        return (self._requests.get(request_id, "absent"), event) in REQUEST

    def _event(self, body: bytes) -> E:
        """Return what one message means. Never raises: a message concerns itself alone."""
        raise NotImplementedError

    def _frame(self, body: bytes) -> bytes:
        return frame(body, self._framing, self._max_frame_bytes)
