"""``rrq debug generate-jobs``, ``generate-workers``, ``clear`` and ``stress-test``: something to look at."""

import time
from collections.abc import Sequence
from random import Random

import click

from rrq_cli.consent import require_consent, require_target, yes_option
from rrq_cli.exits import ExitCode
from rrq_cli.output import emit
from rrq_cli.params import DURATION, GlobalOptions, common
from rrq_cli.progress import progress
from rrq_cli.shapes import Cleared, Generated
from rrq_cli.store.clearing import clear, count_matching
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.generating import STATUSES, Plan, fake_orchestrators, generate
from rrq_cli.store.stress import Load, stress
from rrq_cli.views.generated import show_cleared, show_generated, show_stressed
from rrq_cli.words import plural

__all__ = ["clear_", "generate_jobs", "generate_workers", "stress_test"]

_BEAT_S = 1.0
_queues = click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Queue; may be repeated [default: that of the settings].",
)


def _chosen(store: Store, queues: Sequence[str]) -> list[str]:
    from rrq_protocol import validate_queue_name

    return [validate_queue_name(name) for name in queues] or [store.settings.default_queue_name]


@click.command("generate-jobs")
@common
@click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Jobs in all."
)
@_queues
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES, case_sensitive=False),
    multiple=True,
    help="What they are; may be repeated [default: all of these].",
)
@click.option(
    "--function", "functions", multiple=True, metavar="NAME", help="What they call; may be repeated."
)
@click.option(
    "--age-hours",
    type=click.FloatRange(0, 24 * 365),
    default=24.0,
    show_default=True,
    help="How long ago the oldest ended.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Jobs enqueued in one call.",
)
@click.option("--seed", type=int, help="Makes the same choices again.")
def generate_jobs(
    options: GlobalOptions,
    count: int,
    queues: Sequence[str],
    statuses: Sequence[str],
    functions: Sequence[str],
    age_hours: float,
    batch_size: int,
    seed: int | None,
) -> None:
    """Generate jobs in every state, so that the other commands have something to show.

    Their ids begin with test_, and `rrq debug clear` deletes them. Waiting ones are executed by whoever
    serves their queue; a function nobody knows ends as a dead letter. The counters of a queue, and its
    throughput, count generated jobs like others and keep them: use a queue of their own (--queue).

    JSON: {"jobs": {status: n}, "queues": [name]}
    """
    with open_store(options) as store:
        plan = Plan(count, _chosen(store, queues), statuses or STATUSES, age_hours * 3600, batch_size)
        if functions:
            plan = Plan(count, plan.queues, plan.statuses, plan.age_s, batch_size, functions)
        with progress("generated", total=count, quiet=options.as_json) as advance:
            made = generate(store, plan, Random(seed), advance)
    emit(options.as_json, made, show_generated)


@click.command("generate-workers")
@common
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="Orchestrators.")
@click.option(
    "--duration", type=DURATION, default=60.0, metavar="TIME", show_default=True, help="How long they stay."
)
@_queues
def generate_workers(options: GlobalOptions, count: int, duration: float, queues: Sequence[str]) -> None:
    """Simulate orchestrators: they have leases and reports, and execute nothing. Ctrl-C ends them.

    JSON: {"orchestrators": n, "queues": [name]}
    """
    with open_store(options) as store:
        chosen = _chosen(store, queues)
        with (
            fake_orchestrators(store, count, chosen) as beat,
            progress(
                f"{plural(count, 'orchestrator')}, second", total=duration, quiet=options.as_json
            ) as advance,
        ):
            give_up = time.monotonic() + duration
            while (left := give_up - time.monotonic()) > 0:
                time.sleep(min(_BEAT_S, left))
                beat()
                advance(min(_BEAT_S, left))
    emit(options.as_json, Generated(orchestrators=count, queues=chosen), show_generated)


@click.command("clear")
@common
@click.option(
    "--pattern",
    default="test_*",
    show_default=True,
    metavar="GLOB",
    help="Which ids; * is any text, ? one character.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@yes_option
@click.option("--confirm", is_flag=True, hidden=True, help="The earlier name of --yes.")
@click.option(
    "--target",
    metavar="HOST:PORT/DB",
    help="The server that is meant; asked for, whatever --yes says, where it is not on this machine.",
)
def clear_(
    options: GlobalOptions, pattern: str, dry_run: bool, yes: bool, confirm: bool, target: str | None
) -> int:
    """Delete jobs by their ids, by default those that were generated, and simulated orchestrators.

    Looks at every key of the server. Running jobs are left alone. What their queues' counters say they did
    stays, as with all jobs that are deleted.

    JSON: {"dry_run", "results": {"ok": n, …}, "orchestrators": n}
    """
    with open_store(options) as store:
        count = count_matching(store, pattern)
        if dry_run:
            done = Cleared(dry_run=True, results={"ok": count} if count else {})
        else:
            what = f"delete {plural(count, 'job')} with ids like {pattern}"
            if count:
                require_consent(what, yes=yes or confirm, as_json=options.as_json)
            require_target(what, store.elsewhere(), given=target, as_json=options.as_json)
            with progress("deleted", total=count, quiet=options.as_json) as advance:
                done = clear(store, pattern, advance)
    emit(options.as_json, done, show_cleared)
    return ExitCode.OK


@click.command("stress-test")
@common
@click.option(
    "--jobs-per-second",
    type=click.FloatRange(0.1, 1_000_000),
    default=10.0,
    show_default=True,
    help="The rate.",
)
@click.option("--duration", type=DURATION, default=60.0, metavar="TIME", show_default=True, help="How long.")
@_queues
@click.option("--function", default="test_job", show_default=True, metavar="NAME", help="What the jobs call.")
@click.option(
    "--payload-bytes",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Filling of each job.",
)
@click.option("--wait", is_flag=True, help="Wait for the jobs to end too; exit code 1 if some do not.")
@click.option(
    "--wait-timeout",
    type=DURATION,
    default=60.0,
    metavar="TIME",
    show_default=True,
    help="Longest wait with --wait.",
)
def stress_test(
    options: GlobalOptions,
    jobs_per_second: float,
    duration: float,
    queues: Sequence[str],
    function: str,
    payload_bytes: int,
    wait: bool,
    wait_timeout: float,
) -> int:
    """Enqueue jobs at a steady rate, and say what rate was reached and how long the calls took.

    Their ids begin with test_stress_, and `rrq debug clear` deletes them.

    JSON: {"enqueued", "seconds", "jobs_per_second", "call_ms_p50", "call_ms_p95", "call_ms_p99", "ended",
    "ended_per_second"}; the last two are null without --wait
    """
    with open_store(options) as store:
        load = Load(function, jobs_per_second, duration, _chosen(store, queues), payload_bytes)
        with progress("enqueued", total=jobs_per_second * duration, quiet=options.as_json) as advance:
            done = stress(store, load, wait_s=wait_timeout if wait else None, progress=advance)
    emit(options.as_json, done, show_stressed)
    return ExitCode.OK if done.ended in (None, done.enqueued) else ExitCode.FINDING
