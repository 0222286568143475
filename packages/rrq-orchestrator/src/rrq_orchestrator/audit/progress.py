"""Whether the living take over from the dead (I14): leases that nobody fences, jobs that nobody takes back.

That is the part of progress which shows in the keys. Whether a due job starts in time depends on what its
orchestrators are able to run; `rrq check` and `rrq queue list` tell of that.
"""

from collections.abc import Iterator, Mapping

from rrq_orchestrator.audit.batches import Batch, Reading, refused, text, value_of
from rrq_orchestrator.audit.facts import Rules
from rrq_orchestrator.audit.findings import Finding
from rrq_protocol import Keyspace

__all__ = ["judge_progress", "progress"]

_LEASES = 6
"""Two are enough to take over; a janitor with a thousand jobs to take back needs some more."""


def progress(keyspace: Keyspace, rules: Rules) -> Reading[tuple[Finding, ...]]:
    """Look at the leases, by the server's clock; where it may not be asked nothing is found."""
    commands: Batch = [
        ("ZRANGE", keyspace.workers, 0, -1, "WITHSCORES"),
        ("ZRANGE", keyspace.reaping, 0, -1, "WITHSCORES"),
        ("TIME",),
    ]
    *listed, moment = yield commands
    if refused(moment):
        return ()
    flats = [
        value_of(reply, command, wrong_type=[]) for reply, command in zip(listed, commands, strict=False)
    ]
    leases, dead = (
        {text(name): float(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}
        for flat in flats
    )
    now_ms = int(moment[0]) * 1000 + int(moment[1]) / 1000
    return tuple(judge_progress(leases, dead, now_ms, keyspace, rules))


def judge_progress(
    leases: Mapping[str, float], dead: Mapping[str, float], now_ms: float, keyspace: Keyspace, rules: Rules
) -> Iterator[Finding]:
    """Yield what the living have left undone for six leases; where nobody lives, nobody could have done it.

    Args:
        leases: Until when each orchestrator is alive, epoch ms.
        dead: Since when each one is being reaped, epoch ms.
        now_ms: The server's time.
        keyspace: The keys.
        rules: How long a lease is.
    """
    if all(until <= now_ms for until in leases.values()):
        return
    late_ms = now_ms - _LEASES * rules.lease_s * 1000
    for name, until in sorted(leases.items()):
        if until < late_ms:
            yield Finding(
                rule="I14", key=keyspace.workers, expected=f"the lease of {name!a:.80} renewed or ended",
                found=f"that it ran out at {until:.0f} (epoch ms) and nothing was done",
            )  # fmt: skip
    for name, since in sorted(dead.items()):
        if since < late_ms:
            yield Finding(
                rule="I14", key=keyspace.reaping, expected=f"the jobs of {name!a:.80} taken back",
                found=f"that it has been dead since {since:.0f} (epoch ms)",
            )  # fmt: skip
