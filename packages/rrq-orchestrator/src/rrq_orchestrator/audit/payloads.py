"""Judging jobs that wait as their claim will: with their payloads, a bounded amount of them at a time."""

from collections.abc import Mapping, Sequence

from rrq_orchestrator.audit.batches import Batch, Reading, raw, value_of
from rrq_orchestrator.audit.facts import Rules
from rrq_protocol import Keyspace
from rrq_protocol.transitions import problem_of

__all__ = ["unrunnable"]

_BYTES_AT_ONCE = 1024 * 1024
Waiting = tuple[str, Mapping[str, str], int | None]


def unrunnable(waiting: Sequence[Waiting], keyspace: Keyspace, rules: Rules) -> Reading[dict[str, str]]:
    """Return why jobs will be failed when they are claimed (F83), by their ids; those that will run are left
    out.

    The tracing and correlation contexts are left to the claim.

    Args:
        waiting: Of each job its id, its small fields, and the size of its payload; None leaves that unread.
        keyspace: The keys.
        rules: The limit of payloads.
    """
    found: dict[str, str] = {}
    page: list[Waiting] = []
    size = 0
    for each in waiting:
        job_id, fields, bytes_ = each
        if bytes_ is None:
            _judge(job_id, fields, b"{}", keyspace, found)
        elif bytes_ > rules.max_payload_bytes:
            found[job_id] = f"job_params: {bytes_} bytes, the limit is {rules.max_payload_bytes}"
        else:
            if page and size + bytes_ > _BYTES_AT_ONCE:
                yield from _page(page, keyspace, found)
                page, size = [], 0
            page.append(each)
            size += bytes_
    if page:
        yield from _page(page, keyspace, found)
    return found


def _page(page: Sequence[Waiting], keyspace: Keyspace, found: dict[str, str]) -> Reading[None]:
    commands: Batch = [("HGET", raw(keyspace.job(job_id)), "job_params") for job_id, _, _ in page]
    replies = yield commands
    for (job_id, fields, _), reply, command in zip(page, replies, commands, strict=True):
        _judge(job_id, fields, value_of(reply, command, wrong_type=None), keyspace, found)


def _judge(
    job_id: str, fields: Mapping[str, str], params: bytes | None, keyspace: Keyspace, found: dict[str, str]
) -> None:
    given = {name: raw(text) for name, text in fields.items()}
    if params is not None:
        given["job_params"] = params
    if problem := problem_of(keyspace, raw(job_id), given):
        found[job_id] = problem
