"""Rules over several values."""

from typing import Any

import msgspec
import pytest

from rrq_protocol.settings import CronJob, HttpConfig, RunnerConfig, Secret, Settings
from rrq_protocol.settings.checks import find_problems

CANARY = "canary-pass"


def _problems(**values: Any) -> list[str]:
    return [f"{'.'.join(path)}: {text}" for path, text in find_problems(Settings(**values))]


def _runner_problems(**values: Any) -> list[str]:
    return _problems(default_runner_name="r", runners={"r": RunnerConfig(**values)})


def test_defaults_are_fine() -> None:
    """The defaults break no rule; a producer needs no runner."""
    assert find_problems(Settings()) == []


@pytest.mark.parametrize(
    "dsn",
    [
        "redis://localhost:6379/0",
        "redis://user:p%40ss@host/1",
        "rediss://h:1/0?client_name=me",
        "unix:///run/r.sock?db=1",
        "embedded://.rrq",
        "embedded:///var/rrq",
        "redis+sentinel://a:26379,b:26379/service/0",
        "rediss+sentinel://u:p@a/service",
    ],
)
def test_good_dsn(dsn: str) -> None:
    """The kinds of server."""
    assert _problems(redis_dsn=Secret(dsn)) == []


@pytest.mark.parametrize(
    "dsn",
    [
        "localhost:6379",
        f"http://u:{CANARY}@h",
        f"redis+sentinel://:{CANARY}@h",
        "redis://",
        f"redis://u:{CANARY}@h/abc",
        f"redis://u:{CANARY}@h:99999/0",
        f"redis://u:{CANARY}@[h/0",
        "redis://h:0",
        "unix://relative.sock",
        "embedded://",
        "REDIS://h",
        f"redis://h/0?timeout={CANARY}",
        f"redis://h/0?{CANARY}",
        f"rediss://h/0?ssl_cert_reqs={CANARY}",
        "",
    ],
)
def test_bad_dsn(dsn: str) -> None:
    """A wrong DSN is named without its password (S8)."""
    (problem,) = _problems(redis_dsn=Secret(dsn))
    assert problem.startswith("redis_dsn: ")
    assert CANARY not in problem


def test_lease_outlives_three_beats() -> None:
    """A lease shorter than three beats would declare living orchestrators dead."""
    assert _problems(lease_seconds=6, lease_beat_seconds=2) == [
        "lease_seconds: expected more than 3 × lease_beat_seconds (> 6), got 6"
    ]
    assert _problems(lease_seconds=3, lease_beat_seconds=0.5) == []


def test_retry_delays_are_ordered() -> None:
    """The cap is not below the base."""
    assert _problems(base_retry_delay_seconds=10, max_retry_delay_seconds=5) == [
        "max_retry_delay_seconds: expected at least base_retry_delay_seconds (10), got 5"
    ]


def test_names_of_runners_exist() -> None:
    """Where runners are configured, default and routes name one of them."""
    runners = {"rust": RunnerConfig(cmd=("a",))}
    assert _problems(runners=runners, runner_routes={"media": "ruts"}) == [
        "default_runner_name: expected the name of a configured runner (rust), got python",
        "runner_routes.media: expected the name of a configured runner (rust), got ruts",
    ]


@pytest.mark.parametrize("prefix", ["", "a b", "x" * 65, "a\n"])
def test_key_prefix(prefix: str) -> None:
    """A prefix is short, printable and not empty."""
    (problem,) = _problems(key_prefix=prefix)
    assert problem.startswith("key_prefix: expected")


def test_correlation_paths() -> None:
    """A correlation value is a dotted path."""
    assert _problems(correlation_mappings={"order": "order.id", "plain": "id"}) == []
    assert len(_problems(correlation_mappings={"a": "", "b": "x..y", "c": "a b"})) == 3


@pytest.mark.parametrize(
    ("address", "remote", "count"), [("0.0.0.0:1", False, 1), ("0.0.0.0:1", True, 0), ("x", False, 1)]
)
def test_http_is_local(address: str, remote: bool, count: int) -> None:
    """Metrics listen on loopback unless remote access is allowed."""
    assert len(_problems(http=HttpConfig(address=address, allow_remote=remote))) == count


def test_http_elsewhere_names_its_own_key() -> None:
    """The key that permits it is told, not that of runners."""
    (problem,) = _problems(http=HttpConfig(address="0.0.0.0:9464"))
    assert "http.allow_remote" in problem
    assert "allowed_hosts" not in problem


@pytest.mark.parametrize(
    "values",
    [
        {"app": "pkg.module:attr"},
        {"app": "pkg.module.attr", "tcp_socket": "localhost:9000"},
        {"cmd": ("a",), "tcp_port": 0},
        {"cmd": ("a",), "type": "stdio"},
        {"cmd": ("a",), "socket_dir": "/tmp/x"},
        {"cmd": ("a",), "tcp_host": "::1", "tcp_port": 9000},
        {"mode": "external", "tcp_socket": "10.0.0.1:9000", "allowed_hosts": ("10.0.0.1",)},
        {"mode": "external", "socket_dir": "/run/rrq"},
        {"cmd": ("a",), "env_passthrough": ("HOME", "AWS_*")},
    ],
)
def test_good_runners(values: dict[str, Any]) -> None:
    """The usual ways to start or reach a runner."""
    assert _runner_problems(**values) == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "runners.r.app: set app"),
        ({"app": "a.b:c", "cmd": ("x",)}, "runners.r.cmd: is set together with app"),
        ({"app": "no attribute"}, "runners.r.app: expected"),
        ({"app": "module"}, "runners.r.app: expected"),
        ({"mode": "external"}, "runners.r.mode: an external runner needs"),
        ({"mode": "external", "type": "stdio"}, "runners.r.type: stdio needs"),
        ({"cmd": ("a",), "type": "stdio", "tcp_port": 1}, "runners.r.type: stdio has no address"),
        ({"cmd": ("a",), "tcp_port": 1, "socket_dir": "/x"}, "runners.r.socket_dir: is set together"),
        (
            {"cmd": ("a",), "tcp_port": 1, "tcp_socket": "localhost:1"},
            "runners.r.tcp_socket: is set together",
        ),
        ({"cmd": ("a",), "tcp_host": "localhost"}, "runners.r.tcp_host: needs tcp_port"),
        (
            {"cmd": ("a",), "tcp_host": "10.0.0.1", "tcp_port": 1},
            "runners.r.tcp_port: '10.0.0.1' is not a loopback",
        ),
        (
            {"cmd": ("a",), "tcp_port": 65530, "pool_size": 10},
            "runners.r.tcp_port: the pool needs ports up to 65539",
        ),
        ({"mode": "external", "tcp_port": 0}, "runners.r.tcp_port: port 0"),
        ({"cmd": ("a",), "env": {"A=B": "x"}}, "runners.r.env: 'A=B' is no name"),
        ({"cmd": ("a",), "env_passthrough": ("*AWS",)}, "runners.r.env_passthrough: expected names"),
    ],
)
def test_bad_runners(values: dict[str, Any], problem: str) -> None:
    """What could not start, not be reached, or means two things, is said before anything starts."""
    assert [text.startswith(problem) for text in _runner_problems(**values)] == [True]


def test_broken_values_are_left_out() -> None:
    """A rule that needs a value with a problem of its own adds no second, misleading one."""
    settings = Settings(lease_seconds=1, runners={"python": RunnerConfig()})
    assert len(find_problems(settings)) == 2
    broken = frozenset({("lease_beat_seconds",), ("runners", "python", "cmd")})
    assert find_problems(settings, broken) == []


@pytest.mark.parametrize(
    ("schedule", "fine"),
    [
        ("* * * * *", True),
        ("0 * * * * *", True),
        ("@hourly", True),
        ("* * *", False),
        ("", False),
        ("@every 5m", False),
        ("* * * * 1" + ",1" * 200, False),
    ],
)
def test_cron_schedules(schedule: str, fine: bool) -> None:
    """A schedule has five or six fields, or is a word; what they mean is the orchestrator's to check."""
    assert (_problems(cron_jobs=(CronJob(function_name="f", schedule=schedule),)) == []) is fine


@pytest.mark.parametrize("key", ["redis_tls_ca_file", "redis_tls_cert_file"])
@pytest.mark.parametrize("scheme", ["redis", "unix", "embedded"])
def test_certificates_need_tls(scheme: str, key: str) -> None:
    """Certificates for a server without TLS are a mistake that would go unseen (S20)."""
    dsn = "redis://h" if scheme == "redis" else f"{scheme}:///x"
    (problem,) = _problems(redis_dsn=Secret(dsn), **{key: "f"})
    assert problem.startswith(f"{key}: ")
    assert "rediss://" in problem


def test_a_key_needs_its_certificate() -> None:
    """The certificate may hold its key, not the other way round."""
    (problem,) = _problems(redis_dsn=Secret("rediss://h"), redis_tls_key_file="k")
    assert "redis_tls_cert_file" in problem
    assert _problems(redis_dsn=Secret("rediss://h"), redis_tls_cert_file="c") == []


def test_cron_entries_do_not_contradict_themselves() -> None:
    """`unique` says that ticks do not overlap; who writes that they may is told."""
    job = CronJob(function_name="f", schedule="@daily", unique=True)
    assert _problems(cron_jobs=(job,)) == []
    assert _problems(cron_jobs=(msgspec.structs.replace(job, overlap="skip"),)) == []
    (problem,) = _problems(cron_jobs=(msgspec.structs.replace(job, overlap="allow"),))
    assert problem.startswith('cron_jobs.[0].overlap: expected "skip", or nothing, beside unique = true')


def test_cron_entries_have_names_of_their_own() -> None:
    """By name or by function; of one function without names, only equal entries are one."""
    job = CronJob(function_name="f", schedule="@daily")
    other = CronJob(function_name="f", schedule="@hourly")
    named = CronJob(function_name="g", name="f", schedule="@daily")
    assert _problems(cron_jobs=(job, other)) == []
    for pair in ((job, job), (job, named), (named, named)):
        (problem,) = _problems(cron_jobs=pair)
        assert problem.startswith("cron_jobs.[1].name: expected a name of its own, got that of cron_jobs[0]")
