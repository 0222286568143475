"""The nested tables of ``rrq.toml``: runners, cron jobs, watch mode, HTTP and the worker."""

import os
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import force_setattr

from rrq_protocol.settings.fields import (
    ByteSize,
    Command,
    FunctionName,
    Port,
    PrivateText,
    QueueName,
    Seconds,
    doc,
)

__all__ = ["CronJob", "HttpConfig", "RunnerConfig", "WatchConfig", "WorkerConfig", "available_cpus"]

_IN_FLIGHT_OF_OUR_RUNNER = 10
_IN_FLIGHT_OF_A_COMMAND = 1
# Enough to get many innocents through soon, few enough to fit beside the pool.
_SUSPECT_PROCESSES = 4


def available_cpus() -> int:
    """Return the number of CPUs this process may use, at least 1."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every platform
        return max(1, os.cpu_count() or 1)


class RunnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``[rrq.runners.<name>]``: how a pool of runner processes is started or reached."""

    type: Annotated[
        Literal["socket", "stdio"],
        doc(
            "Transport: length-prefixed frames over a socket, or a JSON line per message on stdin and stdout."
        ),
    ] = "socket"
    mode: Annotated[
        Literal["managed", "external"] | None,
        doc(
            "`managed`: the orchestrator starts and restarts the processes. `external`: it only connects.",
            default="`runner_management_mode`",
        ),
    ] = None
    app: Annotated[
        str | None,
        doc(
            "Python handlers to serve, as `pkg.module:attr`; the command is derived from it. Excludes `cmd`."
        ),
    ] = None
    cmd: Annotated[Command | None, doc("Command and arguments that start one runner process.")] = None
    pool_size: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None, doc("Number of runner processes.", default="CPU count")
    ] = None
    max_in_flight: Annotated[
        int,
        msgspec.Meta(ge=1),
        doc("Jobs one process may hold at a time.", default="10 with `app`, 1 with `cmd`"),
    ] = 0
    suspect_processes: Annotated[
        int,
        msgspec.Meta(ge=1),
        doc(
            "Further processes at most, each started when needed, for jobs whose process died while it held "
            "several: there each runs alone.",
            default="twice `pool_size`, at most 4",
        ),
    ] = 0
    env: Annotated[dict[str, PrivateText], doc("Environment variables set for the runner process.")] = {}
    env_passthrough: Annotated[
        tuple[str, ...],
        doc(
            "Names (with `*` at the end: prefixes) of the orchestrator's environment variables the runner "
            "also gets. Only a small safe set is handed on otherwise, never the Redis DSN."
        ),
    ] = ()
    cwd: Annotated[
        str | None, doc("Working directory of the runner process.", default="the orchestrator's")
    ] = None
    tcp_host: Annotated[
        str | None, doc("Host of `tcp_port`; loopback unless it is in `allowed_hosts`.", default="127.0.0.1")
    ] = None
    tcp_port: Annotated[
        Port | None,
        doc(
            "TCP port of the first process, one port per process from there; 0 takes free ports. One that "
            "comes up beside the process it replaces takes a free port, and is replaced by one on the right "
            "port as soon as that is free."
        ),
    ] = None
    tcp_socket: Annotated[
        str | None, doc("`host:port` or `[host]:port` in one text; stands for `tcp_host` and `tcp_port`.")
    ] = None
    socket_dir: Annotated[
        str | None,
        doc(
            "Folder of the Unix sockets (made with mode 0700); external runners listen there on "
            "`<runner>-<slot>.sock`, slots counted from 0.",
            default="a private folder made at start",
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...], doc("Hosts other than loopback that `tcp_host` or `tcp_socket` may name.")
    ] = ()
    response_timeout_seconds: Annotated[
        Seconds | None,
        doc(
            "Longest wait for the answer to one request, besides the job's own timeout; then the process is "
            "replaced."
        ),
    ] = None
    protocol_version: Annotated[
        Literal["1", "2"], doc('Runner protocol; "1" sends `args` and `kwargs` in place of `params`.')
    ] = "2"
    max_jobs: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None, doc("Replace a process after this many jobs.")
    ] = None
    max_rss: Annotated[
        ByteSize | None,
        doc(
            'Replace a process whose resident memory exceeds this, e.g. `"512MiB"`. One that does before its '
            "first job is replaced when it has doubled (`runner.max_rss_too_low`)."
        ),
    ] = None
    max_age: Annotated[Seconds | None, doc("Replace a process after this time.")] = None

    def __post_init__(self) -> None:
        # 0 only means "not given": what suits our own runner may surprise a command of another kind.
        if self.max_in_flight == 0:
            default = _IN_FLIGHT_OF_OUR_RUNNER if self.app else _IN_FLIGHT_OF_A_COMMAND
            force_setattr(self, "max_in_flight", default)
        if self.suspect_processes == 0:
            force_setattr(self, "suspect_processes", min(2 * self.processes, _SUSPECT_PROCESSES))

    @property
    def processes(self) -> int:
        """Number of processes: ``pool_size``, else one per CPU."""
        return self.pool_size if self.pool_size is not None else available_cpus()

    @property
    def is_external(self) -> bool:
        """Whether the orchestrator only connects, and someone else starts the processes."""
        return self.mode == "external"


class CronJob(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``[[rrq.cron_jobs]]``: a job enqueued once per tick over all orchestrators."""

    function_name: Annotated[FunctionName, doc("Handler to enqueue, with a `runner#` prefix if need be.")]
    schedule: Annotated[
        str, doc("Cron expression: 5 fields, or 6 with seconds first; or `@hourly` and the like.")
    ]
    name: Annotated[
        str | None,
        doc(
            "Identity of the entry, for `rrq cron` and in job ids; give one when a function has several "
            "entries.",
            default="`function_name`, with a digest if several entries have it",
        ),
    ] = None
    params: Annotated[dict[str, Any], doc("Parameters of the job.")] = {}
    queue_name: Annotated[QueueName | None, doc("Queue of the job.", default="`default_queue_name`")] = None
    overlap: Annotated[
        Literal["allow", "skip"] | None,
        doc(
            "With `skip`, a tick is left out while the previous job of this entry has not ended.",
            default="`allow`, or `skip` with `unique`",
        ),
    ] = None
    unique: Annotated[bool, doc('The same as `overlap = "skip"`.')] = False
    timezone: Annotated[str, doc("Time zone of the schedule, e.g. `Europe/Berlin`.")] = "UTC"
    missed: Annotated[
        Literal["skip", "last", "all"],
        doc(
            "Ticks made up for that were missed while no orchestrator ran: none, the latest, or all up to "
            "`max_catch_up`."
        ),
    ] = "last"
    max_catch_up: Annotated[
        int, msgspec.Meta(ge=1, le=1000), doc("Most missed ticks made up for with `all`; the latest ones.")
    ] = 100
    dst_gap: Annotated[
        Literal["fire", "skip"],
        doc(
            "What becomes of a tick in the hour that is left out when clocks are set forward: it is fired at "
            "the first instant after it, or not at all."
        ),
    ] = "fire"


class WatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``[rrq.watch]``: defaults of ``rrq worker watch``; command-line options win."""

    path: Annotated[str, doc("Folder to watch, with everything below it.")] = "."
    include_patterns: Annotated[
        tuple[str, ...], doc("Globs of the files whose change restarts the worker.")
    ] = (
        "*.py",
        "*.toml",
    )
    ignore_patterns: Annotated[tuple[str, ...], doc("Globs of files and folders to ignore.")] = (
        ".git",
        ".git/**",
        ".venv",
        ".venv/**",
        "target",
        "target/**",
        "dist",
        "dist/**",
        "build",
        "build/**",
        "__pycache__",
        "**/__pycache__",
        "**/__pycache__/**",
        "*.pyc",
        "**/*.pyc",
        ".ruff_cache",
        ".ruff_cache/**",
        ".pytest_cache",
        ".pytest_cache/**",
    )
    no_gitignore: Annotated[bool, doc("Do not read `.gitignore` and `.git/info/exclude`.")] = False
    pre_restart_cmds: Annotated[
        tuple[Command, ...],
        doc("Commands run before each start; a failing one keeps the worker stopped until the next change."),
    ] = ()
    pre_restart_cwd: Annotated[
        str | None, doc("Working directory of `pre_restart_cmds`.", default="`watch.path`")
    ] = None
    pre_restart_timeout_seconds: Annotated[Seconds | None, doc("Longest run of one such command.")] = None


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``[rrq.http]``, or ``http = "127.0.0.1:9464"`` for short: health and metrics of the orchestrator."""

    address: Annotated[
        str | None,
        doc('Where to listen, `host:port`, e.g. `"127.0.0.1:9464"`; port 0 takes a free one.', default="off"),
    ] = None
    allow_remote: Annotated[bool, doc("Allow an address other than loopback; there is no login.")] = False


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``[rrq.worker]``: what ``rrq worker run`` serves."""

    queues: Annotated[
        dict[QueueName, Annotated[int, msgspec.Meta(ge=1)]],
        doc(
            "Queues to serve: a list of names, or a table of name and weight (a queue of weight 6 is asked "
            "twice as often as one of weight 3).",
            default="`default_queue_name`",
        ),
    ] = {}
    strict: Annotated[
        bool,
        doc("Serve queues strictly in the order of their weights: no lower one while a higher has jobs."),
    ] = False
