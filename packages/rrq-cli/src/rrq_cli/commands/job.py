"""``rrq job``: look at jobs, wait for them, run them again, cancel them."""

import sys
from collections.abc import Mapping

import click

from rrq_cli import completing
from rrq_cli.exits import ExitCode, fail
from rrq_cli.hints import command, remark
from rrq_cli.known import unknown_queue
from rrq_cli.output import emit, note, note_if_none, require_no_terminal, shown
from rrq_cli.params import DURATION, GlobalOptions, common
from rrq_cli.shapes import Waited
from rrq_cli.store.client import open_store
from rrq_cli.store.enqueueing import enqueue_one, replay_of
from rrq_cli.store.facts import gather, running_on
from rrq_cli.store.jobs import MOST_LOOKED_AT, UNINDEXED, JobFilter, find_jobs, no_jobs
from rrq_cli.store.queues import unknown_queues, wrong_sets
from rrq_cli.store.records import read_detail, read_hash
from rrq_cli.store.waiting import TERMINAL, wait_for_end
from rrq_cli.views.answers import show_submitted, show_waited, show_why
from rrq_cli.views.jobs import show_detail, show_list, show_trace
from rrq_cli.why import explain_wait

__all__ = ["job"]

_STATUSES = ("pending", "active", "retrying", "completed", "failed", "cancelled")


@click.group()
def job() -> None:
    """Look at jobs one by one, follow what happened to them, wait for them, run them again, cancel them."""


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.any_jobs)
@click.option("--raw", is_flag=True, help="Print the stored fields byte for byte; not to a terminal.")
def show(options: GlobalOptions, job_id: str, raw: bool) -> int:
    """Show everything about one job.

    JSON: {"id", "status", "function_name", "queue_name", "params", "result", "failed_attempts": […],
    "fields": {…}, "problem", …}
    """
    if raw:
        require_no_terminal()
    with open_store(options) as store:
        if raw and not options.as_json:
            print_raw(read_hash(store, job_id)[0])
            return ExitCode.OK
        found = read_detail(store, job_id)
    emit(options.as_json, found.fields if raw else found, lambda out, _: show_detail(out, found))
    return ExitCode.FINDING if found.problem else ExitCode.OK


def print_raw(fields: Mapping[bytes, bytes]) -> None:
    """Write a hash's fields as they are stored, ``name: value`` each."""
    for name, value in fields.items():
        sys.stdout.buffer.write(name + b": " + value + b"\n")


@job.command("list")
@common
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--queue", metavar="NAME", shell_complete=completing.queues, help="Only jobs of this queue.")
@click.option(
    "--function", metavar="NAME", help="Only jobs of this function, with or without its runner# prefix."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Jobs at most.")
@click.option(
    "--scan",
    is_flag=True,
    help="Read every job record of the server; finds completed and cancelled jobs too.",
)
def list_(
    options: GlobalOptions,
    status: str | None,
    queue: str | None,
    function: str | None,
    limit: int,
    scan: bool,
) -> None:
    """List jobs: running ones, then waiting ones as they become due, then dead letters.

    Completed and cancelled jobs are in no index; --scan finds them.

    JSON: {"jobs": [{"id", "status", "function_name", "queue_name", "attempts", …}], "looked_at", "complete"};
    "complete" is false where a limit was reached, or only --scan finds what was asked for
    """
    wanted = JobFilter(status.upper() if status else None, queue, function)
    with open_store(options) as store:
        for problem in wrong_sets(store):
            note(problem)
        for name, known in unknown_queues(store, [queue] if queue else []):
            note(unknown_queue(name, known))
        found = find_jobs(store, wanted, limit=limit, scan=scan)
        empty = not found.jobs and not found.looked_at and no_jobs(store)
        missing = store.remark
    unseen = None
    if not (scan or empty or found.jobs) and wanted.status in (None, *UNINDEXED):
        which = status or "completed and cancelled"
        unseen = f"{which} jobs are in no index; --scan reads every record to find them"
    found.complete = empty or (found.complete and unseen is None)
    emit(options.as_json, found, lambda out, _: show_list(out, found, unseen=unseen, empty=empty))
    note_if_none(found.jobs, missing)
    if unseen is not None:
        if options.as_json:
            note(unseen)
    elif not found.complete and len(found.jobs) < limit:
        note(f"stopped after {MOST_LOOKED_AT:,} records; --scan reads all of them")


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.any_jobs)
def trace(options: GlobalOptions, job_id: str) -> int:
    """Show what happened to a job, step by step: waits, attempts, errors, what comes next.

    JSON: {"id", "status", "function_name", "queue_name", "events": [{"what", "at", "attempt", …}],
    "waited_seconds", "ran_seconds"}
    """
    from rrq_cli.timeline import trace_of
    from rrq_protocol import MalformedRecord, parse_record

    with open_store(options) as store:
        fields, _ = read_hash(store, job_id)
        try:
            record = parse_record(fields)
        except MalformedRecord as error:
            problem = f"job {job_id}: malformed {error.field}: {error.problem}"
            fail(f"{problem}; what can be read of it: {command('job', 'show', job_id)}{remark()}")
        found = trace_of(record, store.keys, runner=running_on(store, record))
    emit(options.as_json, found, show_trace)
    return ExitCode.OK


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.open_jobs)
def cancel(options: GlobalOptions, job_id: str) -> int:
    """Cancel a job: one that waits at once, one that runs by asking its orchestrator.

    JSON: {"id", "result": "cancelled" | "requested" | "finished" | "gone" | "malformed" | "wrong_type"}; exit
    code 1 for the last four
    """
    from rrq_protocol import transitions, validate_job_id
    from rrq_protocol.transitions import CancelReply

    sentences = {
        CancelReply.CANCELLED: "is cancelled",
        CancelReply.REQUESTED: "is running; its orchestrator was asked to cancel it",
        CancelReply.FINISHED: "had ended before; nothing was changed",
        CancelReply.GONE: "is not there; finished jobs are kept for a time only",
        CancelReply.MALFORMED: "has no status that is one, so nothing was changed; `rrq doctor` says more",
        CancelReply.WRONG_TYPE: "is no job record: its key holds something else",
    }
    name = validate_job_id(job_id)
    with open_store(options) as store:
        settings = store.settings
        call = transitions.cancel(
            store.keys, name, ttl_seconds=settings.default_result_ttl_seconds, job_events=settings.job_events
        )
        reply = store.run(call)
    done = reply in (CancelReply.CANCELLED, CancelReply.REQUESTED)
    if not done and not options.as_json:
        fail(f"job {name} {sentences[reply]}")
    emit(
        options.as_json,
        {"id": name, "result": reply.value},
        lambda out, _: out.print(shown(f"job {name} {sentences[reply]}")),
    )
    return ExitCode.OK if done else ExitCode.FINDING


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.any_jobs)
@click.option(
    "--timeout",
    type=DURATION,
    metavar="TIME",
    help='Longest wait: seconds, "5m" [default: as long as it takes].',
)
def wait(options: GlobalOptions, job_id: str, timeout: float | None) -> int:
    """Wait for a job to end; exit code 1 if it failed, was cancelled, or has not ended in time.

    JSON: {"id", "status", "timed_out", "result", "error"}
    """
    with open_store(options) as store:
        found = wait_for_end(store, job_id, timeout)
    if found.problem is not None:
        fail(f"job {job_id}: {found.problem}")
    answer = Waited(
        id=found.id,
        status=found.status,
        timed_out=found.status not in TERMINAL,
        result=found.result,
        error=None if found.status == "COMPLETED" else found.last_error,
    )
    emit(options.as_json, answer, show_waited)
    return ExitCode.OK if found.status == "COMPLETED" else ExitCode.FINDING


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.any_jobs)
@click.option(
    "--queue",
    metavar="NAME",
    shell_complete=completing.queues,
    help="Queue of the new job [default: that of the old one].",
)
def replay(options: GlobalOptions, job_id: str, queue: str | None) -> int:
    """Enqueue a new job with the function, parameters and limits of one that has ended, however it ended.

    The old record stays as it is, and the new job holds no unique key. A dead letter that should rather go on
    under its own id: `rrq dlq requeue --job-id ID`.

    JSON: {"id", "queue_name", "created", …}: the new job
    """
    with open_store(options) as store:
        answer = enqueue_one(store, replay_of(store, job_id, queue))
    emit(options.as_json, answer, show_submitted)
    return ExitCode.OK


@job.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.any_jobs)
def why(options: GlobalOptions, job_id: str) -> int:
    """Say why a job does not run; exit code 1 where it never will unless somebody does something.

    JSON: {"id", "status", "reason", "text", "stuck", "advice"}; reasons: done, running, recovering, broken,
    not_queued, paused, later, unknown_handler, locked, no_orchestrator, stopping, not_served, no_runner,
    runner_broken, runner_starting, runner_full, limited, behind, next
    """
    with open_store(options) as store:
        found = explain_wait(gather(store, job_id), command)
    emit(options.as_json, found, show_why)
    return ExitCode.FINDING if found.stuck else ExitCode.OK
