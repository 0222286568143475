"""How the two ends of a TCP connection show that they are who they should be (RELIABILITY.md S1, S3).

An orchestrator gives each runner process it starts a number nobody else knows, the nonce. The nonce itself
never crosses the connection: each end sends a proof, and the proof of one end is of no use as the other's.
"""

from typing import Final, Literal

__all__ = ["NONCE_BYTES", "nonce_proof"]

NONCE_BYTES: Final = 32
"""Length of a nonce, and of a proof."""


def nonce_proof(nonce: bytes, end: Literal["orchestrator", "runner"]) -> bytes:
    """Return what ``end`` sends to show that it knows the nonce: HMAC-SHA256 over its name.

    Compare proofs with ``hmac.compare_digest``.
    """
    import hmac  # only where somebody asked for TCP

    return hmac.digest(nonce, f"rrq {end}".encode(), "sha256")
