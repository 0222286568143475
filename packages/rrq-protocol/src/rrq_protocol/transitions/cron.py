"""Since when the ticks of a cron entry count (RELIABILITY.md 6.8). They are fired by ``enqueue``."""

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_text, now_arg

__all__ = ["anchor"]


def anchor(
    keyspace: Keyspace, entry: str, schedule: str, *, now_ms: int | None = None
) -> ScriptCall[int | None]:
    """Return the call that notes a cron entry; its result is the epoch ms behind which ticks are to be fired.

    A new entry, and one whose schedule was changed, counts from now on: nothing is made up for. For any other
    it is the latest tick that was fired or passed over. None: the key has a wrong type.

    Args:
        keyspace: The keys.
        entry: The entry's name.
        schedule: What its ticks follow from: schedule and time zone.
        now_ms: The time to go by; None is the server's.
    """
    return ScriptCall("anchor", (keyspace.cron(entry),), (now_arg(now_ms), schedule), _decode)


def _decode(reply: object) -> int | None:
    text = as_text(reply)
    return None if text == "wrong_type" else int(text)
