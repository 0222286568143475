"""The settings of RRQ: one frozen object, one field per key (API.md, *Settings*).

Field order is the order of the reference in ``docs/settings.md``, which is generated from here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec.structs import force_setattr

from rrq_protocol.settings.fields import (
    MIB,
    ByteSize,
    LongSeconds,
    NonNegativeSeconds,
    QueueName,
    RunnerName,
    Seconds,
    WholeSeconds,
    doc,
)
from rrq_protocol.settings.secret import Secret
from rrq_protocol.settings.tables import CronJob, HttpConfig, RunnerConfig, WatchConfig, WorkerConfig

__all__ = [
    "DEFAULT_HTTP_ADDRESS",
    "DEFAULT_REDIS_DSN",
    "HARD_MAX_PAYLOAD_BYTES",
    "CronJob",
    "HttpConfig",
    "Provenance",
    "RunnerConfig",
    "Settings",
    "WatchConfig",
    "WorkerConfig",
]

DEFAULT_REDIS_DSN = "embedded://.rrq"
DEFAULT_HTTP_ADDRESS = "127.0.0.1:9464"
HARD_MAX_PAYLOAD_BYTES = 16 * MIB


class Provenance(msgspec.Struct, frozen=True):
    """Where a settings object came from; no key of its own.

    Attributes:
        config_file: Path of the file that was read, or None.
        given: Top-level keys that were set somewhere, or None for an object built in code.
        dsn_file: Absolute path of the file that ``redis_dsn`` was read from, or None.
    """

    config_file: str | None = None
    given: frozenset[str] | None = None
    dsn_file: str | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be configured.

    Building one directly checks nothing; :func:`rrq_protocol.settings.load_settings` and
    :func:`rrq_protocol.settings.parse_settings` do. ``redis_dsn`` may be given as plain text and is wrapped.
    """

    redis_dsn: Annotated[
        Secret,
        doc(
            "Redis or Valkey server: `redis://`, `rediss://`, `unix://`, "
            "`redis+sentinel://host:port,host:port/service/db` (`rediss+sentinel://` by TLS), or "
            "`embedded://<folder>`, a server of the project's own started by `rrq dev`. Not set, and no "
            "`.rrq` folder: localhost:6379.",
            default='"embedded://.rrq"',
        ),
    ] = Secret(DEFAULT_REDIS_DSN)
    redis_dsn_file: Annotated[
        str | None,
        doc(
            "File that holds the DSN, so that it appears nowhere else: a mounted secret. Its password is "
            "read again for each new connection."
        ),
    ] = None
    redis_tls_ca_file: Annotated[
        str | None,
        doc(
            "Certificates (PEM) of the authority that signed the certificate of a `rediss://` server.",
            default="the system's",
        ),
    ] = None
    redis_tls_cert_file: Annotated[
        str | None, doc("Our own certificate (PEM), for a `rediss://` server that asks for one.")
    ] = None
    redis_tls_key_file: Annotated[
        str | None,
        doc("The key (PEM) of `redis_tls_cert_file`, without a passphrase.", default="in the same file"),
    ] = None
    redis_tls_check_hostname: Annotated[
        bool, doc("Whether the certificate of a `rediss://` server must bear the name in `redis_dsn`.")
    ] = True
    key_prefix: Annotated[
        str, doc("What every Redis key starts with; `{name}` puts all keys into one cluster slot.")
    ] = "rrq"

    default_queue_name: Annotated[
        QueueName, doc("Queue of jobs that name none. A full Redis key is accepted.")
    ] = "default"
    default_dlq_name: Annotated[QueueName, doc("Dead letter queue. A full Redis key is accepted.")] = (
        "default"
    )
    default_max_retries: Annotated[
        int, msgspec.Meta(ge=1), doc("Attempts a job gets in total before it goes to the dead letter queue.")
    ] = 5
    default_job_timeout_seconds: Annotated[Seconds, doc("Longest run of one attempt.")] = 300
    default_result_ttl_seconds: Annotated[
        WholeSeconds, doc("How long a finished job is kept; 0 keeps it for ever.")
    ] = 86_400
    failed_job_ttl_seconds: Annotated[
        WholeSeconds, doc("How long a dead-lettered job is kept; 0 keeps it for ever.")
    ] = 7 * 86_400
    default_unique_job_lock_ttl_seconds: Annotated[
        LongSeconds,
        doc("How long a unique key lasts beyond the time its job is due; the job's end frees it."),
    ] = 21_600
    max_payload_bytes: Annotated[
        ByteSize,
        msgspec.Meta(le=HARD_MAX_PAYLOAD_BYTES),
        doc("Largest encoded parameters of a job, and largest result."),
    ] = MIB

    base_retry_delay_seconds: Annotated[
        Seconds,
        doc(
            "Longest delay before the first retry, doubled for each further one; the delay is drawn evenly "
            "between 0 and that."
        ),
    ] = 5
    max_retry_delay_seconds: Annotated[Seconds, doc("Longest delay before a retry.")] = 3600
    timeout_policy: Annotated[
        Literal["dlq", "retry"],
        doc("What follows an attempt that ran out of time: dead letter queue, or a retry."),
    ] = "dlq"
    unknown_handler_policy: Annotated[
        Literal["dlq", "retry"],
        doc("What follows when the runner knows no such handler: dead letter queue, or a retry."),
    ] = "dlq"
    max_crashes: Annotated[
        int,
        msgspec.Meta(ge=1),
        doc("Crashes of its runner or orchestrator after which a job is dead-lettered."),
    ] = 3

    default_runner_name: Annotated[
        RunnerName, doc("Runner of jobs that neither their name nor their queue routes.")
    ] = "python"
    runner_management_mode: Annotated[
        Literal["managed", "external"],
        doc("Mode of the runners that set none: started by us, or only connected to."),
    ] = "managed"
    runners: Annotated[dict[RunnerName, RunnerConfig], doc("Runners by name, `[rrq.runners.<name>]`.")] = {}
    runner_routes: Annotated[dict[QueueName, RunnerName], doc("Queue name to runner name.")] = {}
    runner_connect_timeout_ms: Annotated[
        int, msgspec.Meta(ge=1), doc("Milliseconds a runner process gets to come up and answer.")
    ] = 15_000
    runner_cancel_grace_seconds: Annotated[
        NonNegativeSeconds,
        doc(
            "Time an attempt gets to answer after a cancel before its process is replaced; at shutdown half "
            "a second at most."
        ),
    ] = 5
    runner_unresponsive_seconds: Annotated[
        NonNegativeSeconds,
        doc(
            "A runner process that takes several jobs at a time and answers no ping for so long gets no new "
            "ones until it answers again; 0 switches that off."
        ),
    ] = 5
    runner_shutdown_term_grace_seconds: Annotated[
        NonNegativeSeconds, doc("Time a runner process gets between SIGTERM and SIGKILL.")
    ] = 5
    runner_enable_inflight_cancel_hints: Annotated[
        bool, doc("Send a cancel to attempts still running when the shutdown grace ends.")
    ] = True
    capture_runner_output: Annotated[bool, doc("Relay the runners' stdout and stderr as log events.")] = True

    worker: Annotated[WorkerConfig, doc("What this orchestrator serves, `[rrq.worker]`.")] = WorkerConfig()
    worker_concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        doc("Most attempts this orchestrator runs at a time.", default="the runners' capacity"),
    ] = None
    worker_shutdown_grace_period_seconds: Annotated[
        NonNegativeSeconds,
        doc("Time running attempts get to finish at shutdown; then they are released uncounted."),
    ] = 10
    worker_health_check_interval_seconds: Annotated[
        Seconds, doc("How often the health record `<prefix>:health:worker:<id>` is written at the least.")
    ] = 60
    worker_health_check_ttl_buffer_seconds: Annotated[
        NonNegativeSeconds, doc("Time the health record outlives that interval.")
    ] = 10
    default_poll_delay_seconds: Annotated[
        Seconds, doc("Pause of the fallback poll for jobs of producers that send no wake-up.")
    ] = 0.1
    lease_seconds: Annotated[
        Seconds, doc("An orchestrator silent for so long is declared dead; must exceed three beats.")
    ] = 10
    lease_beat_seconds: Annotated[Seconds, doc("How often the lease is renewed.")] = 2
    reconcile_interval_seconds: Annotated[
        NonNegativeSeconds,
        doc("Pause between two looks for broken indexes, each made in 1 % of the time; 0 switches them off."),
    ] = 60
    overlap: Annotated[
        Literal["allow", "prevent"],
        doc("`prevent` kills running attempts when the own lease runs out, so that no two attempts overlap."),
    ] = "allow"

    cron_jobs: Annotated[tuple[CronJob, ...], doc("Jobs on a schedule, `[[rrq.cron_jobs]]`.")] = ()
    correlation_mappings: Annotated[
        dict[str, str],
        doc(
            "Log and trace attribute to the dotted path of its value in the job's params, e.g. "
            '`order_id = "order.id"`.'
        ),
    ] = {}
    telemetry: Annotated[
        Literal["off", "otel", "ddtrace", "logfire"],
        doc("Trace jobs with OpenTelemetry, Datadog or Logfire. Handed on to managed runners."),
    ] = "off"
    watch: Annotated[WatchConfig, doc("Defaults of watch mode, `[rrq.watch]`.")] = WatchConfig()
    http: Annotated[
        HttpConfig,
        doc('Health and metrics, `[rrq.http]` or `http = "host:port"`; `true` for 127.0.0.1:9464.'),
    ] = HttpConfig()
    log_format: Annotated[
        Literal["auto", "json", "pretty"], doc("`auto`: pretty on a terminal, JSON elsewhere.")
    ] = "auto"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], doc("Least severe events to log.")] = (
        "info"
    )

    job_events: Annotated[
        bool, doc("Also write the terminal event stream that waiters of the public line read.")
    ] = False
    compat_job_locks: Annotated[
        bool, doc("Also write the job locks that orchestrators of the public line honour.")
    ] = False
    default_lock_timeout_extension_seconds: Annotated[
        WholeSeconds, doc("Time such a lock outlives the job's timeout. Used with `compat_job_locks` only.")
    ] = 60
    expected_job_ttl: Annotated[
        WholeSeconds, doc("Further margin of such a lock. Used with `compat_job_locks` only.")
    ] = 30

    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        given: object = self.redis_dsn
        if isinstance(given, str):
            force_setattr(self, "redis_dsn", Secret(given))
