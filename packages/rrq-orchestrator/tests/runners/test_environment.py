"""A runner's environment is an allow-list, its arguments say where to listen."""

import sys

import pytest

from rrq_orchestrator.runners.environment import handed_on, runner_command, runner_environment
from rrq_protocol import Endpoint, RunnerConfig, StdioEndpoint, TcpEndpoint, UnixEndpoint

UNIX = UnixEndpoint("/run/rrq/0.sock")
TCP = TcpEndpoint("127.0.0.1", 9000)
CMD = RunnerConfig(cmd=("node", "runner.js"))


def test_only_allowed_names_are_handed_on() -> None:
    """The path and the locale pass, credentials and everything else do not (S16)."""
    inherited = {"PATH": "/bin", "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "s", "REDIS_URL": "s", "HOME": "/h"}
    environment = runner_environment(CMD, UNIX, inherited)
    assert environment["PATH"] == "/bin"
    assert environment["LC_ALL"] == "C"
    assert environment["HOME"] == "/h"
    assert "s" not in environment.values()


def test_passthrough_takes_names_and_prefixes_but_never_the_dsn() -> None:
    """Named variables pass; the orchestrator's DSN does not even then (S8)."""
    config = RunnerConfig(cmd=("x",), env_passthrough=("EXACT", "APP_*", "RRQ_*", "RRQ_REDIS_DSN"))
    inherited = {
        "EXACT": "1",
        "EXACTLY": "no",
        "APP_NAME": "2",
        "RRQ_THING": "3",
        "RRQ_REDIS_DSN": "secret",
        "RRQ_REDIS_DSN_FILE": "secret",
    }
    environment = runner_environment(config, UNIX, inherited)
    assert {environment.get(name) for name in ("EXACT", "APP_NAME", "RRQ_THING")} == {"1", "2", "3"}
    assert "EXACTLY" not in environment
    assert "secret" not in environment.values()


def test_own_variables_win_over_inherited_ones() -> None:
    """`env` of the settings is set whatever was inherited; the protocol's variables are always ours."""
    config = RunnerConfig(cmd=("x",), env={"PATH": "/own", "RRQ_RUNNER_SOCKET": "/theirs"})
    environment = runner_environment(config, UNIX, {"PATH": "/bin"}, control_fd=7)
    assert environment["PATH"] == "/own"
    assert environment["RRQ_RUNNER_SOCKET"] == UNIX.path
    assert environment["RRQ_RUNNER_CONTROL_FD"] == "7"
    assert environment["RRQ_RUNNER_EXTENSIONS"] == "hello,ping"


@pytest.mark.parametrize(
    ("endpoint", "variables", "arguments"),
    [
        (
            UNIX,
            {"RRQ_RUNNER_SOCKET": UNIX.path, "RRQ_EXECUTOR_SOCKET": UNIX.path},
            ["--unix-socket", UNIX.path],
        ),
        (
            TCP,
            {"RRQ_RUNNER_TCP_SOCKET": "127.0.0.1:9000", "RRQ_EXECUTOR_TCP_SOCKET": "127.0.0.1:9000"},
            ["--tcp-socket", "127.0.0.1:9000"],
        ),
        (StdioEndpoint(), {}, ["--stdio"]),
    ],
)
def test_the_address_is_told_by_variable_and_argument(
    endpoint: Endpoint, variables: dict[str, str], arguments: list[str]
) -> None:
    """Runners of the public line read the old names, too; others the arguments."""
    environment = runner_environment(CMD, endpoint, {})
    told = {name: value for name, value in environment.items() if name.endswith("SOCKET")}
    assert told == variables
    assert runner_command(CMD, endpoint) == ["node", "runner.js", *arguments]


def test_a_command_that_names_its_transport_is_left_alone() -> None:
    """The argument is not given twice."""
    for given in (("--tcp-socket", "127.0.0.1:9000"), ("--tcp-socket=127.0.0.1:9000",)):
        config = RunnerConfig(cmd=("runner", *given))
        assert runner_command(config, TCP) == ["runner", *given]


def test_an_app_runs_under_our_own_runner() -> None:
    """`app` needs no command."""
    command = runner_command(RunnerConfig(app="shop.jobs:settings"), UNIX)
    assert command[:5] == [sys.executable, "-m", "rrq_runner", "--settings", "shop.jobs:settings"]


def test_telemetry_is_handed_on_with_its_variables() -> None:
    """What the library needs passes, and the runner is told; its own variables win."""
    inherited = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SERVICE_NAME": "ours", "DD_API_KEY": "s"}
    config = RunnerConfig(cmd=("x",), env={"OTEL_SERVICE_NAME": "theirs"}, env_passthrough=("APP_*",))
    environment = runner_environment(handed_on(config, "otel"), UNIX, {**inherited, "APP_A": "1"})
    assert environment["RRQ_TELEMETRY"] == "otel"
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://c"
    assert (environment["OTEL_SERVICE_NAME"], environment["APP_A"]) == ("theirs", "1")
    assert "DD_API_KEY" not in environment
    assert "DD_API_KEY" in runner_environment(handed_on(config, "ddtrace"), UNIX, inherited)


def test_without_telemetry_nothing_of_it_is_handed_on() -> None:
    """A collector's credentials are none of a runner's business then."""
    assert handed_on(CMD, "off") is CMD
    environment = runner_environment(CMD, UNIX, {"OTEL_EXPORTER_OTLP_HEADERS": "s", "RRQ_TELEMETRY": "otel"})
    assert "s" not in environment.values()
    assert "RRQ_TELEMETRY" not in environment
