"""Settings of RRQ: the model, and reading it from ``rrq.toml``, the environment and overrides."""

from rrq_protocol.settings.cron import cron_entry_names
from rrq_protocol.settings.exposure import find_exposed
from rrq_protocol.settings.model import (
    DEFAULT_HTTP_ADDRESS,
    DEFAULT_REDIS_DSN,
    HARD_MAX_PAYLOAD_BYTES,
    CronJob,
    HttpConfig,
    Provenance,
    RunnerConfig,
    Settings,
    WatchConfig,
    WorkerConfig,
)
from rrq_protocol.settings.parse import Draft, parse_settings
from rrq_protocol.settings.redis_pool import connection_pool, lone_connection
from rrq_protocol.settings.redis_target import (
    SERVER_FILE,
    EmbeddedServer,
    RedisTarget,
    TlsFiles,
    resolve_redis,
)
from rrq_protocol.settings.secret import Secret, mask_url
from rrq_protocol.settings.serving import CronTarget, cron_targets, find_unserved, served_queues
from rrq_protocol.settings.source import draft_settings, load_settings, load_settings_with_origins
from rrq_protocol.settings.tables import available_cpus
from rrq_protocol.settings.tree import Origin
from rrq_protocol.settings.values import parse_duration, parse_size

__all__ = [
    "CronJob",
    "CronTarget",
    "DEFAULT_HTTP_ADDRESS",
    "DEFAULT_REDIS_DSN",
    "Draft",
    "EmbeddedServer",
    "HARD_MAX_PAYLOAD_BYTES",
    "HttpConfig",
    "Origin",
    "Provenance",
    "RedisTarget",
    "RunnerConfig",
    "SERVER_FILE",
    "Secret",
    "Settings",
    "TlsFiles",
    "WatchConfig",
    "WorkerConfig",
    "available_cpus",
    "connection_pool",
    "cron_entry_names",
    "cron_targets",
    "draft_settings",
    "find_exposed",
    "find_unserved",
    "load_settings",
    "load_settings_with_origins",
    "lone_connection",
    "mask_url",
    "parse_duration",
    "parse_settings",
    "parse_size",
    "resolve_redis",
    "served_queues",
]
