"""Very many jobs at a time."""

from rrq_protocol import Job
from support.transitions import Transitions, ids


def test_a_crowd_that_is_due_at_once_is_taken_in_pieces(t: Transitions) -> None:
    """A claim takes what was asked for, oldest first, and looks at few more, however many are due (F58)."""
    t.register("a")
    names = [f"j{number:05}" for number in range(5000)]
    for first in range(0, len(names), 500):
        t.enqueue(*(Job("f", job_id=name, defer_by=60) for name in names[first : first + 500]))
    t.now_ms += 60_000
    t.client.config_resetstat()
    assert ids(t.claim(wanted=100).jobs) == names[:100]
    assert t.client.info("commandstats")["cmdstat_hmget"]["calls"] < 300
    assert t.queued() == names[100:]
