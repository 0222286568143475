"""Proofs of a nonce."""

import hashlib
import hmac

from rrq_protocol import NONCE_BYTES, nonce_proof


def test_a_proof_is_of_its_end_and_its_nonce() -> None:
    """HMAC-SHA256 over the end's name, so that a program in any language can make it."""
    nonce = bytes(range(NONCE_BYTES))
    proofs = {nonce_proof(nonce, "orchestrator"), nonce_proof(nonce, "runner")}
    assert {len(each) for each in proofs} == {NONCE_BYTES}
    assert proofs == {
        hmac.new(nonce, name, hashlib.sha256).digest() for name in (b"rrq orchestrator", b"rrq runner")
    }
    assert not proofs & {nonce_proof(bytes(NONCE_BYTES), "orchestrator"), nonce}
