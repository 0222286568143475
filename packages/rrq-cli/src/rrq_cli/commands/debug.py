"""``rrq debug``: try things out."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rrq_cli.exits import ExitCode, UsageProblem, fail
from rrq_cli.hints import command, remark
from rrq_cli.output import emit, shown
from rrq_cli.params import DURATION, GlobalOptions, KeyValue, common
from rrq_cli.shapes import Submitted
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.records import read_detail

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["debug"]


@click.group()
def debug() -> None:
    """Try things out."""


def _params(pairs: Sequence[tuple[str, Any]], text: str | None) -> dict[str, Any]:
    if text is None:
        return dict(pairs)
    try:
        params = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem(f"--params: expected a JSON object, got what is no JSON: {error}") from None
    if not isinstance(params, dict):
        raise UsageProblem(
            f'--params: expected a JSON object such as {{"to": "a@b.c"}}, got {type(params).__name__}'
        )
    return {**params, **dict(pairs)}


@debug.command()
@common
@click.argument("function", metavar="FUNCTION")
@click.option(
    "--param",
    "pairs",
    type=KeyValue(),
    multiple=True,
    metavar="NAME=VALUE",
    help="One parameter; the value is JSON or text.",
)
@click.option("--params", metavar="JSON", help="All parameters as a JSON object.")
@click.option("--queue", metavar="NAME", help="Queue [default: that of the settings].")
@click.option("--job-id", metavar="ID", help="Id of the job [default: a new one].")
@click.option("--unique-key", metavar="KEY", help="No second job while one of this key has not ended.")
@click.option(
    "--defer", type=DURATION, metavar="TIME", help='Start no earlier than this from now: seconds, "5m", "2h".'
)
@click.option("--max-retries", type=click.IntRange(min=1), help="Attempts in all.")
@click.option("--timeout", "job_timeout", type=DURATION, metavar="TIME", help="Longest run of one attempt.")
@click.option("--wait", is_flag=True, help="Wait for the job to end; exit code 1 unless it completed.")
@click.option(
    "--wait-timeout",
    type=DURATION,
    default=60.0,
    metavar="TIME",
    help="Longest wait with --wait [default: 60].",
)
def submit(
    options: GlobalOptions,
    function: str,
    pairs: Sequence[tuple[str, Any]],
    params: str | None,
    queue: str | None,
    job_id: str | None,
    unique_key: str | None,
    defer: float | None,
    max_retries: int | None,
    job_timeout: float | None,
    wait: bool,
    wait_timeout: float,
) -> int:
    """Enqueue one job of FUNCTION.

    JSON: {"id", "queue_name", "created"}, with --wait also "status", "result", "error"
    """
    from rrq_protocol import Job, transitions

    asked = Job(
        function,
        _params(pairs, params),
        queue_name=queue,
        job_id=job_id,
        unique_key=unique_key,
        defer_by=defer,
        max_retries=max_retries,
        job_timeout_seconds=job_timeout,
    )
    with open_store(options) as store:
        settings = store.settings
        prepared = transitions.prepare(
            asked,
            transitions.EnqueueDefaults(
                queue_name=settings.default_queue_name,
                max_retries=settings.default_max_retries,
                job_timeout_seconds=settings.default_job_timeout_seconds,
                result_ttl_seconds=settings.default_result_ttl_seconds,
                unique_ttl_seconds=settings.default_unique_job_lock_ttl_seconds,
                max_payload_bytes=settings.max_payload_bytes,
            ),
        )
        (reply,) = store.run(transitions.enqueue(store.keys, [prepared]))
        if reply.kind is transitions.EnqueueKind.TAKEN:
            fail(f"job {prepared.job_id} exists with another content; choose another --job-id")
        if reply.kind is transitions.EnqueueKind.WRONG_TYPE:
            fail(
                f"a key of job {prepared.job_id} or of queue {prepared.queue_name} holds something else; "
                "nothing was enqueued"
            )
        created = reply.kind is transitions.EnqueueKind.CREATED
        answer = Submitted(id=reply.job_id, queue_name=prepared.queue_name, created=created)
        if wait:
            _wait(store, answer, wait_timeout)
    emit(options.as_json, answer, _show)
    return ExitCode.OK if answer.status in (None, "COMPLETED") else ExitCode.FINDING


def _wait(store: Store, answer: Submitted, timeout_s: float) -> None:
    """Wait for the job to end: subscribe, read, wait, so no end is missed (REDIS_SCHEMA.md *Waiting*)."""
    from rrq_protocol import JobStatus

    give_up = time.monotonic() + timeout_s
    # The client is typed in parts only.
    with store.redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(store.keys.channel(answer.id))
        while True:
            found = read_detail(store, answer.id)
            answer.status, answer.result, answer.error = found.status, found.result, found.last_error
            left = give_up - time.monotonic()
            if found.status in {status.value for status in JobStatus if status.is_terminal}:
                return
            if found.problem is not None or left <= 0:
                answer.error = found.problem or answer.error or f"not ended within {timeout_s:g} s"
                return
            # The channel is a hint and may be lost; the record is the truth, so it is read again from time to
            # time.
            channel.get_message(timeout=min(left, 1.0))


def _show(out: "Console", answer: Submitted) -> None:
    verb = "enqueued" if answer.created else "already there"
    out.print(shown(f"{answer.id}  {verb} in queue {answer.queue_name}"), overflow="fold")
    if answer.status is None:
        follow = command("job", "trace", answer.id) + remark()
        out.print(shown(f"follow it: {follow}", "dim"), soft_wrap=True)
        return
    out.print(shown(answer.status, "green" if answer.status == "COMPLETED" else "red"))
    if answer.status == "COMPLETED":
        out.print(shown(json.dumps(answer.result, ensure_ascii=False)), overflow="fold")
    elif answer.error:
        out.print(shown(answer.error, "red"), overflow="fold")
