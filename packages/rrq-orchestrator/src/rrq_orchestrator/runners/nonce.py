"""The secret of one runner process that listens on a TCP port (RELIABILITY.md S1, S3; ADR 0020).

Offered, as all extensions are: the process inherits a socket that holds the nonce, and says on it, before it
listens, that it took it. So when a connection to it is made, it is known whether proofs are exchanged.
"""

import asyncio
import hmac
import secrets
import socket
from contextlib import suppress
from typing import Final

from rrq_orchestrator.runners.process import StartFailed
from rrq_protocol import NONCE_BYTES, nonce_proof

__all__ = ["Nonce", "WrongProof"]

_TAKEN: Final = b"\1"


class WrongProof(StartFailed):
    """Whoever answers does not know the nonce."""


class Nonce:
    """One nonce, and the socket it is handed over by. :meth:`close` it.

    Attributes:
        unanswered: Whether the last proof of ours got no answer.

    Raises:
        StartFailed: The system has no room for a socket.
    """

    def __init__(self) -> None:
        secret = secrets.token_bytes(NONCE_BYTES)
        self._ours_to_show = nonce_proof(secret, "orchestrator")
        self._theirs_to_show = nonce_proof(secret, "runner")
        try:
            self._ours, self._theirs = socket.socketpair()
        except OSError as error:
            raise StartFailed(f"cannot make a socket to hand a nonce over: {error}") from error
        self._ours.setblocking(False)
        self._ours.send(secret)
        self._taken = self.unanswered = False

    @property
    def fd(self) -> int:
        """What the process is to inherit."""
        return self._theirs.fileno()

    def handed_over(self) -> None:
        """Say that the process has inherited it, or will not be."""
        self._theirs.close()

    @property
    def taken(self) -> bool:
        """Whether the process said that it took the nonce."""
        if not self._taken:
            with suppress(OSError):
                self._taken = self._ours.recv(1) == _TAKEN
        return self._taken

    async def exchange(self, connection: socket.socket) -> None:
        """Show who we are, and see who answers.

        Raises:
            OSError: The connection ended before the answer.
            WrongProof: Another program answers, or a runner that reckons wrongly.
        """
        loop = asyncio.get_running_loop()
        self.unanswered = True
        await loop.sock_sendall(connection, self._ours_to_show)
        answer = b""
        while len(answer) < NONCE_BYTES:
            data = await loop.sock_recv(connection, NONCE_BYTES - len(answer))
            if not data:
                raise ConnectionAbortedError("closed before it showed who it is")
            answer += data
        self.unanswered = False
        if not hmac.compare_digest(answer, self._theirs_to_show):
            raise WrongProof("another program answers at its address; end it, or change `tcp_port`")

    def close(self) -> None:
        """Let go of it. Safe to repeat."""
        self._ours.close()
        self._theirs.close()
