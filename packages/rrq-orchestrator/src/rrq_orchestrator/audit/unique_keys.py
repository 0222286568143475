"""Unique keys of jobs that go on: a paused queue or a long backlog is no reason to lose one (I9).

A script that puts a job off, or starts it, makes its key last until then, and its TTL longer. While a job
waits past its due time no script touches it, so the reconciler does, for the jobs it looks at anyway.
"""

from collections.abc import Iterable, Mapping

from rrq_orchestrator.audit.batches import Reading, value_of
from rrq_orchestrator.audit.facts import LIVE, JobFacts
from rrq_protocol import Keyspace
from rrq_protocol.transitions import Repair, RepairKind, repair

__all__ = ["keep_keys"]


def keep_keys(known: Iterable[tuple[str, Mapping[str, str], bool]], keyspace: Keyspace) -> Reading[None]:
    """Have the unique keys of jobs that have not ended last, or taken again where nobody has them.

    Args:
        known: Id, fields and whether it expires, of each job of a page.
        keyspace: The keys.
    """
    jobs = [
        JobFacts(job_id, fields)
        for job_id, fields, _ in known
        if fields.get("job_unique_key") and fields.get("status") in LIVE
    ]
    if jobs:
        call = repair(keyspace, [Repair(RepairKind.KEY, each.job_id, each.evidence) for each in jobs])
        # With its text: a reading is not told that the server has lost a script.
        command = call.eval_args()
        (reply,) = yield [command]
        value_of(reply, command)
