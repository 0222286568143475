"""Known flaws are told for every build that has them, and for no other (S19)."""

import pytest

from rrq_orchestrator.audit.versions import flaws_of

MENDED_2025 = ["6.2.20", "7.2.11", "7.4.6", "8.0.4", "8.2.2"]


@pytest.mark.parametrize("version", MENDED_2025)
def test_the_release_that_mends_a_branch_is_clean(version: str) -> None:
    """The one before it is not."""
    assert flaws_of("Redis", version) is None
    major, minor, patch = version.split(".")
    said = flaws_of("Redis", f"{major}.{minor}.{int(patch) - 1}")
    assert said is not None
    assert "CVE-2025-49844" in said
    assert version in said


@pytest.mark.parametrize(
    ("product", "version", "old", "new"),
    [
        ("Redis", "7.0.15", True, True), ("Redis", "5.0.7", True, True), ("Redis", "7.2.6", True, True),
        ("Redis", "7.2.7", False, True), ("Redis", "6.2.17", False, True), ("Redis", "7.4.1", True, True),
        ("Redis", "8.4.0", False, False), ("Redis", "8.0.3", False, True),
        ("Valkey", "7.2.7", True, True), ("Valkey", "8.0.5", False, True), ("Valkey", "8.0.1", True, True),
        ("Valkey", "8.1.3", False, True), ("Valkey", "8.1.4", False, False),
        ("Valkey", "9.0.0", False, False),
        ("Dragonfly", "7.0.0", False, False), ("Redis", "unknown", False, False),
    ],
)  # fmt: skip
def test_branches(product: str, version: str, old: bool, new: bool) -> None:
    """Old branches never got the mend, newer ones always had it; of other servers nothing is known."""
    said = flaws_of(product, version) or ""
    assert ("CVE-2024-46981" in said, "CVE-2025-49844" in said) == (old, new)
