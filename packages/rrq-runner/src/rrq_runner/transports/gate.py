"""Whoever connects over TCP shows first that it is the orchestrator that started this process (RELIABILITY.md
S1, S4).

The kernel tells which user is at the other end; that does not keep out other programs of the same user, nor,
where the kernel does not tell, other users. So an orchestrator hands a nonce to the processes it starts. A
connection that does not begin with the proof is closed before anything of it is parsed or answered.
"""

import asyncio
import hmac
import os
from collections.abc import MutableMapping
from typing import Final, cast

from rrq_protocol import NONCE_BYTES, EndpointError, nonce_proof
from rrq_runner.transports import Admit, SessionFactory
from rrq_runner.transports.refusals import Refusals

NONCE_FD_VARIABLE: Final = "RRQ_RUNNER_NONCE_FD"

_TAKEN: Final = b"\1"
_PATIENCE_S: Final = 1.0
_MAX_PENDING: Final = 16


def take_nonce(environ: MutableMapping[str, str]) -> bytes | None:
    """Return the nonce the orchestrator gave this process, and tell it so; None without one.

    ``RRQ_RUNNER_NONCE_FD`` is the number of an inherited socket that holds the nonce. It is closed here, and
    the variable is taken out of the environment.

    Raises:
        EndpointError: The variable holds something else.
    """
    text = environ.pop(NONCE_FD_VARIABLE, "")
    if not text:
        return None
    try:
        descriptor = int(text)
        try:
            nonce = os.read(descriptor, NONCE_BYTES)
            os.write(descriptor, _TAKEN)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, OverflowError) as error:
        raise EndpointError(
            f"{NONCE_FD_VARIABLE}: expected the number of an inherited socket, got {text!r}"
        ) from error
    if len(nonce) != NONCE_BYTES:
        raise EndpointError(
            f"{NONCE_FD_VARIABLE}: expected {NONCE_BYTES} bytes on that socket, got {len(nonce)}"
        )
    return nonce


class Gatekeeper:
    """Makes the gate of each connection. Use it as the protocol factory of a listener.

    Args:
        nonce: As :func:`take_nonce` returned it.
        admit: Says whom to refuse before anything else.
        sessions: Makes the session of a connection that has passed.
        refusals: Where it is told who was sent away.
    """

    def __init__(
        self, nonce: bytes, admit: Admit, sessions: SessionFactory, refusals: Refusals | None = None
    ) -> None:
        self.expected = nonce_proof(nonce, "orchestrator")
        self.answer = nonce_proof(nonce, "runner")
        self.admit = admit
        self.sessions = sessions
        self.refusals = refusals or Refusals()
        self.pending: set[Gate] = set()

    def __call__(self) -> "Gate":
        """Return the gate of a new connection."""
        return Gate(self)

    def close(self) -> None:
        """Refuse those that have not passed yet."""
        for gate in tuple(self.pending):
            gate.refuse("the runner is shutting down")


class Gate(asyncio.Protocol):
    """One connection, until its first bytes have shown who it is."""

    def __init__(self, keeper: Gatekeeper) -> None:
        self._keeper = keeper
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the proof, for a moment."""
        self._transport = cast("asyncio.Transport", transport)
        problem = self._keeper.admit(transport)
        if problem is None and len(self._keeper.pending) >= _MAX_PENDING:
            problem = f"{_MAX_PENDING} others have not shown who they are either"
        if problem is not None:
            self.refuse(problem)
            return
        self._keeper.pending.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_PATIENCE_S, self.refuse, "it did not show in time who it is")

    def data_received(self, data: bytes) -> None:
        """Look at the proof; hand over what follows it."""
        transport = self._transport
        if transport is None:
            return
        wanted = NONCE_BYTES - len(self._received)
        self._received += data[:wanted]
        if len(self._received) < NONCE_BYTES:
            return
        if not hmac.compare_digest(self._received, self._keeper.expected):
            self.refuse("it is not the orchestrator that started this process")
            return
        self._leave()
        transport.write(self._keeper.answer)
        session = self._keeper.sessions()
        transport.set_protocol(session)
        session.connection_made(transport)
        if rest := data[wanted:]:
            session.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._leave()

    def refuse(self, problem: str) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._keeper.refusals.tell(problem)
            self._transport.abort()
        self._leave()

    def _leave(self) -> None:
        self._transport = None
        self._keeper.pending.discard(self)
        if self._timer is not None:
            self._timer.cancel()
