"""What a connection reports: the values :meth:`receive` of either end returns."""

from typing import TypeAlias

import msgspec

from rrq_protocol.messages import CancelRequest, ErrorType, ExecutionRequest, Hello, Ping, WireOutcome


class OutcomeReceived(msgspec.Struct, frozen=True):
    """A request's one response. ``outcome`` has both ids, also where the runner left one out."""

    outcome: WireOutcome


class HelloReceived(msgspec.Struct, frozen=True):
    """The runner introduced itself."""

    hello: Hello


class PongReceived(msgspec.Struct, frozen=True):
    """The runner answered a ping: its event loop runs."""

    pong: Ping


class StrayResponse(msgspec.Struct, frozen=True):
    """A response nobody waits for: a duplicate, a late one, or another's. Drop it and count it."""

    request_id: str | None
    job_id: str | None


class BadMessage(msgspec.Struct, frozen=True):
    """A message of the peer is wrong. The ids are what it claimed; a request it names stays open.

    ``echoed`` says that it is of a kind only orchestrators send: the peer repeats what it hears.
    ``beginning`` is the first bytes of a line that an orchestrator got over stdio: what the runner printed,
    perhaps.
    """

    problem: str
    request_id: str | None = None
    job_id: str | None = None
    echoed: bool = False
    beginning: bytes = b""


class ExecutionRequested(msgspec.Struct, frozen=True):
    """Execute this and answer once with :meth:`RunnerConnection.respond`."""

    request: ExecutionRequest


class CancelRequested(msgspec.Struct, frozen=True):
    """Stop early what ``request_ids`` names; empty if it is over already. Each still needs its response."""

    cancel: CancelRequest
    request_ids: tuple[str, ...]


class Pinged(msgspec.Struct, frozen=True):
    """The orchestrator wants to know whether this runner still answers. Send ``reply``."""

    reply: bytes


class Rejected(msgspec.Struct, frozen=True):
    """A message was refused. Send ``reply``; empty where it could be taken for another request's response."""

    reply: bytes
    problem: str
    error_type: ErrorType
    request_id: str | None = None
    job_id: str | None = None


OrchestratorEvent: TypeAlias = OutcomeReceived | HelloReceived | PongReceived | StrayResponse | BadMessage
RunnerEvent: TypeAlias = ExecutionRequested | CancelRequested | Pinged | Rejected
