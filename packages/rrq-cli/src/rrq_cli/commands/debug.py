"""``rrq debug``: try things out."""

import json
from collections.abc import Sequence
from typing import Any

import click

from rrq_cli import completing
from rrq_cli.commands.generating import clear_, generate_jobs, generate_workers, stress_test
from rrq_cli.exits import ExitCode, UsageProblem
from rrq_cli.output import emit
from rrq_cli.params import DURATION, GlobalOptions, KeyValue, common
from rrq_cli.shapes import Submitted
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.enqueueing import enqueue_one
from rrq_cli.store.waiting import TERMINAL, wait_for_end
from rrq_cli.views.answers import show_submitted

__all__ = ["debug"]


@click.group()
def debug() -> None:
    """Try things out: submit a job, generate jobs and orchestrators, see what rate is borne, clear up."""


for _command in (generate_jobs, generate_workers, clear_, stress_test):
    debug.add_command(_command)


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
@click.option("--kwargs", metavar="JSON", hidden=True, help="The earlier name of --params.")
@click.option(
    "--queue", metavar="NAME", shell_complete=completing.queues, help="Queue [default: that of the settings]."
)
@click.option("--job-id", metavar="ID", help="Id of the job [default: a new one].")
@click.option("--unique-key", metavar="KEY", help="No second job while one of this key has not ended.")
@click.option(
    "--defer", type=DURATION, metavar="TIME", help='Start no earlier than this from now: seconds, "5m", "2h".'
)
@click.option("--delay", type=DURATION, hidden=True, help="The earlier name of --defer.")
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
    kwargs: str | None,
    queue: str | None,
    job_id: str | None,
    unique_key: str | None,
    defer: float | None,
    delay: float | None,
    max_retries: int | None,
    job_timeout: float | None,
    wait: bool,
    wait_timeout: float,
) -> int:
    """Enqueue one job of FUNCTION.

    JSON: {"id", "queue_name", "created"}, with --wait also "status", "result", "error"
    """
    from rrq_protocol import Job

    asked = Job(
        function,
        _params(pairs, kwargs if params is None else params),
        queue_name=queue,
        job_id=job_id,
        unique_key=unique_key,
        defer_by=delay if defer is None else defer,
        max_retries=max_retries,
        job_timeout_seconds=job_timeout,
    )
    with open_store(options) as store:
        answer = enqueue_one(store, asked)
        if wait:
            _wait(store, answer, wait_timeout)
    emit(options.as_json, answer, show_submitted)
    return ExitCode.OK if answer.status in (None, "COMPLETED") else ExitCode.FINDING


def _wait(store: Store, answer: Submitted, timeout_s: float) -> None:
    found = wait_for_end(store, answer.id, timeout_s)
    answer.status, answer.result, answer.error = found.status, found.result, found.last_error
    if found.status not in TERMINAL or found.problem is not None:
        answer.error = found.problem or answer.error or f"not ended within {timeout_s:g} s"
