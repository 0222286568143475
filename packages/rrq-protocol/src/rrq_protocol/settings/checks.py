"""Rules that concern more than one value, or more than its type. Pure: settings in, problems out."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from rrq_protocol.endpoint import is_loopback, parse_tcp_socket
from rrq_protocol.errors import EndpointError, InvalidName, shown
from rrq_protocol.keys import Keyspace
from rrq_protocol.settings.certificates import CERTIFICATES
from rrq_protocol.settings.cron import cron_entry_names
from rrq_protocol.settings.dsn_query import dsn_query_problems
from rrq_protocol.settings.model import CronJob, RunnerConfig, Settings
from rrq_protocol.settings.sentinel import SENTINEL_SCHEMES, parse_sentinel

__all__ = ["Problem", "find_problems"]

Path = tuple[str, ...]
# A key path and what is wrong there.
Problem = tuple[Path, str]

REDIS_SCHEMES: Final = ("redis", "rediss", "unix", "embedded", *SENTINEL_SCHEMES)
_BEATS_PER_LEASE: Final = 3
_MAX_SCHEDULE_CHARS: Final = 256
_module_attribute = re.compile(
    r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?::[^\W\d]\w*(?:\.[^\W\d]\w*)*|\.[^\W\d]\w*)"
).fullmatch
_dotted_path = re.compile(r"[^.\s]+(?:\.[^.\s]+)*").fullmatch
_variable_pattern = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*").fullmatch


def find_problems(settings: Settings, broken: frozenset[Path] = frozenset()) -> list[Problem]:
    """Return everything that makes these settings unusable, in the order of the model.

    Args:
        settings: What to judge.
        broken: Key paths that hold a placeholder, because what was given there is no value at all. Rules that
            involve one of them are left out.
    """

    def usable(*paths: Path) -> bool:
        # Neither the value itself, nor a part of it, nor what it is a part of.
        return not any(bad[: len(path)] == path[: len(bad)] for bad in broken for path in paths)

    problems: list[Problem] = []
    for needed, rule in _RULES:
        if usable(*((key,) for key in needed)):
            problems += rule(settings)
    for name, runner in settings.runners.items():
        if usable(("runners", name)):
            problems += ((("runners", name, field), text) for field, text in _runner_problems(runner))
    named = set()
    for index, job in enumerate(settings.cron_jobs):
        entry = ("cron_jobs", f"[{index}]")
        problems += (
            ((*entry, field), text) for field, text in _cron_problems(job) if usable((*entry, field))
        )
        # One without a name has one that follows from all it says.
        if usable(entry) or (job.name is not None and usable((*entry, "name"))):
            named.add(index)
    problems += _same_cron_problems(settings, named)
    return problems


def _redis_problems(settings: Settings) -> Iterator[Problem]:
    dsn, path = settings.redis_dsn, ("redis_dsn",)
    if dsn.reveal().partition("://")[0] in SENTINEL_SCHEMES:
        try:
            parse_sentinel(dsn.reveal())
        except ValueError as error:
            yield path, str(error)
        return
    try:
        parts = urlsplit(dsn.reveal())
        port = parts.port
    except ValueError:
        yield (
            path,
            "cannot be read as a URL; expected e.g. redis://localhost:6379/0 (special characters as %xx)",
        )
        return
    if dsn.reveal().partition("://")[0] not in REDIS_SCHEMES or "://" not in dsn.reveal():
        schemes = ", ".join(f"{scheme}://" for scheme in REDIS_SCHEMES)
        yield path, f"expected one of {schemes}, got {dsn.masked()}"
    elif parts.scheme == "unix" and not parts.path.startswith("/"):
        yield path, "expected unix:///path/of/the/socket"
    elif parts.scheme == "embedded" and not (parts.netloc + parts.path).strip("/"):
        yield path, 'expected a folder, e.g. "embedded://.rrq"'
    elif parts.scheme in ("redis", "rediss"):
        database = parts.path.strip("/")
        if not parts.hostname:
            yield path, f"names no host: {dsn.masked()}"
        elif database and not database.isdecimal():
            yield path, f"expected a database number after the last slash, got {dsn.masked()}"
        elif port == 0:
            yield path, f"expected a port from 1 to 65535, got {dsn.masked()}"
    for problem in dsn_query_problems(dsn.reveal()):
        yield path, problem


def _tls_problems(settings: Settings) -> Iterator[Problem]:
    if settings.redis_tls_key_file is not None and settings.redis_tls_cert_file is None:
        yield ("redis_tls_key_file",), "needs redis_tls_cert_file, the certificate it belongs to"
    scheme = settings.redis_dsn.reveal().partition("://")[0]
    given = [key for key in CERTIFICATES if getattr(settings, key) is not None]
    if scheme in REDIS_SCHEMES and not scheme.startswith("rediss"):
        # Silence would mean that somebody believes in TLS where there is none (RELIABILITY.md S20).
        for key in given:
            yield (
                (key,),
                f"is of use with rediss:// only, but redis_dsn is {scheme}://; write rediss:// there",
            )


def _prefix_problems(settings: Settings) -> Iterator[Problem]:
    try:
        Keyspace(settings.key_prefix)
    except InvalidName:
        yield ("key_prefix",), "expected 1 to 64 printable characters without spaces"


def _lease_problems(settings: Settings) -> Iterator[Problem]:
    if settings.lease_seconds <= _BEATS_PER_LEASE * settings.lease_beat_seconds:
        least = _BEATS_PER_LEASE * settings.lease_beat_seconds
        rule = f"{_BEATS_PER_LEASE} × lease_beat_seconds (> {least:g})"
        yield ("lease_seconds",), f"expected more than {rule}, got {settings.lease_seconds:g}"


def _backoff_problems(settings: Settings) -> Iterator[Problem]:
    if settings.max_retry_delay_seconds < settings.base_retry_delay_seconds:
        rule = f"base_retry_delay_seconds ({settings.base_retry_delay_seconds:g})"
        yield (
            ("max_retry_delay_seconds",),
            f"expected at least {rule}, got {settings.max_retry_delay_seconds:g}",
        )


def _correlation_problems(settings: Settings) -> Iterator[Problem]:
    for name, dotted in settings.correlation_mappings.items():
        if not name.strip() or _dotted_path(dotted) is None:
            yield ("correlation_mappings", name), 'expected a dotted path such as "order.id"'


def _default_runner_problems(settings: Settings) -> Iterator[Problem]:
    known = ", ".join(sorted(settings.runners))
    if known and settings.default_runner_name not in settings.runners:
        yield (
            ("default_runner_name",),
            f"expected the name of a configured runner ({known}), got {settings.default_runner_name}",
        )


def _route_problems(settings: Settings) -> Iterator[Problem]:
    if not settings.runners:  # a producer needs none
        return
    known = ", ".join(sorted(settings.runners))
    for queue, runner in settings.runner_routes.items():
        if runner not in settings.runners:
            yield (
                ("runner_routes", queue),
                f"expected the name of a configured runner ({known}), got {runner}",
            )


def _http_problems(settings: Settings) -> Iterator[Problem]:
    http = settings.http
    if http.address is None:
        return
    host = http.address.rpartition(":")[0].strip("[]")
    try:
        parse_tcp_socket(http.address, allowed_hosts=(host,))
    except EndpointError as error:
        yield ("http", "address"), f"{error}"
        return
    if not http.allow_remote and not is_loopback(host):
        expected = "use 127.0.0.1, ::1 or localhost, or set http.allow_remote = true"
        text = f"{shown(host)} is not a loopback address: {expected} if the network between is trusted"
        yield ("http", "address"), text


# What each rule needs, and the rule.
_RULES: Final[tuple[tuple[tuple[str, ...], Callable[[Settings], Iterator[Problem]]], ...]] = (
    (("redis_dsn",), _redis_problems),
    (("redis_dsn", *CERTIFICATES), _tls_problems),
    (("key_prefix",), _prefix_problems),
    (("base_retry_delay_seconds", "max_retry_delay_seconds"), _backoff_problems),
    (("default_runner_name",), _default_runner_problems),
    (("runner_routes",), _route_problems),
    (("lease_seconds", "lease_beat_seconds"), _lease_problems),
    (("correlation_mappings",), _correlation_problems),
    (("http",), _http_problems),
)


def _runner_problems(runner: RunnerConfig) -> Iterator[tuple[str, str]]:
    yield from _start_problems(runner)
    yield from _address_problems(runner)
    if runner.app is not None and _module_attribute(runner.app) is None:
        yield "app", 'expected "pkg.module:attribute"'
    for name in runner.env:
        if not name or "=" in name or "\0" in name:
            yield "env", f"{name[:60]!a} is no name of an environment variable"
    for pattern in runner.env_passthrough:
        if _variable_pattern(pattern) is None:
            yield "env_passthrough", f'expected names such as "HOME" or "AWS_*", got {pattern[:60]!a}'


def _start_problems(runner: RunnerConfig) -> Iterator[tuple[str, str]]:
    if runner.app is not None and runner.cmd is not None:
        yield "cmd", "is set together with app; keep one (the command of an app is derived)"
    if runner.is_external:
        if runner.type == "stdio":
            yield "type", 'stdio needs mode = "managed": an external process has no stdin of ours'
        elif runner.tcp_port is None and runner.tcp_socket is None and runner.socket_dir is None:
            yield (
                "mode",
                "an external runner needs tcp_port, tcp_socket or socket_dir, to know where to connect",
            )
    elif runner.app is None and runner.cmd is None:
        yield (
            "app",
            'set app = "pkg.module:attribute" or cmd = ["program", …], so that the runner can be started',
        )


def _address_problems(runner: RunnerConfig) -> Iterator[tuple[str, str]]:
    has_tcp = runner.tcp_port is not None or runner.tcp_socket is not None
    if runner.type == "stdio" and (has_tcp or runner.tcp_host is not None or runner.socket_dir is not None):
        yield "type", "stdio has no address; remove tcp_host, tcp_port, tcp_socket and socket_dir"
        return
    if has_tcp and runner.socket_dir is not None:
        yield "socket_dir", "is set together with a TCP address; keep one"
    if runner.tcp_socket is not None and (runner.tcp_port is not None or runner.tcp_host is not None):
        yield "tcp_socket", "is set together with tcp_host or tcp_port; keep one form"
        return
    if runner.tcp_host is not None and runner.tcp_port is None:
        yield "tcp_host", "needs tcp_port (0 for free ports)"
    if not has_tcp:
        return
    field = "tcp_port" if runner.tcp_socket is None else "tcp_socket"
    try:
        endpoint = parse_tcp_socket(_tcp_address(runner), allowed_hosts=runner.allowed_hosts)
    except EndpointError as error:
        yield field, f"{error}"
        return
    last = endpoint.port + (runner.pool_size or 1) - 1
    if last > 65535:
        yield field, f"the pool needs ports up to {last}, but 65535 is the last; lower the port or pool_size"
    if endpoint.port == 0 and runner.is_external:
        yield field, "port 0 means free ports, which nobody could find for an external runner"


def _tcp_address(runner: RunnerConfig) -> str:
    if runner.tcp_socket is not None:
        return runner.tcp_socket
    host = runner.tcp_host or "127.0.0.1"
    return (
        f"[{host}]:{runner.tcp_port}"
        if ":" in host and not host.startswith("[")
        else f"{host}:{runner.tcp_port}"
    )


def _same_cron_problems(settings: Settings, named: Collection[int]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(cron_entry_names(settings.cron_jobs)):
        if index not in named:
            continue
        other = first.setdefault(name, index)
        if other != index:
            yield (
                ("cron_jobs", f"[{index}]", "name"),
                f"expected a name of its own, got that of cron_jobs[{other}]: {name}",
            )


def _cron_problems(job: CronJob) -> Iterator[tuple[str, str]]:
    schedule = job.schedule.strip()
    if len(schedule) > _MAX_SCHEDULE_CHARS:
        yield "schedule", f"expected at most {_MAX_SCHEDULE_CHARS} characters, got {len(schedule)}"
    elif not (schedule.startswith("@") and len(schedule.split()) == 1) and len(schedule.split()) not in (
        5,
        6,
    ):
        yield "schedule", f"expected 5 fields, or 6 with seconds first, got {job.schedule[:60]!a}"
    if job.overlap == "allow" and job.unique:
        yield "overlap", 'expected "skip", or nothing, beside unique = true, which says the same; got "allow"'
    if job.name is not None and (not job.name.strip() or not job.name.isprintable() or len(job.name) > 128):
        yield "name", "expected 1 to 128 printable characters"
