"""Arguments and environment say where to listen."""

import pytest

from rrq_protocol import Endpoint, EndpointError, StdioEndpoint, TcpEndpoint, UnixEndpoint
from rrq_runner.address import AddressOptions, parse_options, resolve_endpoint, take_extensions, variable


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["--tcp-socket", "127.0.0.1:9000"], {}, TcpEndpoint("127.0.0.1", 9000)),
        (["--tcp-socket=[::1]:0"], {}, TcpEndpoint("::1", 0)),
        (["--unix-socket", "/run/x"], {}, UnixEndpoint("/run/x")),
        (["--stdio"], {"RRQ_RUNNER_SOCKET": "/run/x"}, StdioEndpoint()),
        ([], {"RRQ_RUNNER_SOCKET": "/run/x"}, UnixEndpoint("/run/x")),
        ([], {"RRQ_RUNNER_TCP_SOCKET": "localhost:9000"}, TcpEndpoint("localhost", 9000)),
        (
            ["--verbose", "--unix-socket=/run/x", "more"],
            {"RRQ_RUNNER_TCP_SOCKET": "1:2"},
            UnixEndpoint("/run/x"),
        ),
    ],
)
def test_where_to_listen(arguments: list[str], environ: dict[str, str], expected: Endpoint) -> None:
    """Options win over the environment; what belongs to the program itself is left alone."""
    assert resolve_endpoint(parse_options(arguments), environ) == expected


@pytest.mark.parametrize(
    ("old", "value", "expected"),
    [
        ("RRQ_EXECUTOR_SOCKET", "/run/x", UnixEndpoint("/run/x")),
        ("RRQ_EXECUTOR_TCP_SOCKET", "127.0.0.1:1", TcpEndpoint("127.0.0.1", 1)),
    ],
)
def test_old_variables_work_with_a_warning(
    old: str, value: str, expected: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names of the first 0.9 line are understood, and stderr says what to write today."""
    assert resolve_endpoint(AddressOptions(), {old: value}) == expected
    assert f"{old} is deprecated, use {old.replace('EXECUTOR', 'RUNNER')}" in capsys.readouterr().err


def test_the_present_name_wins_silently(capsys: pytest.CaptureFixture[str]) -> None:
    """An orchestrator that sets both names for the sake of old runners causes no warning here."""
    assert variable("RRQ_RUNNER_SOCKET", {"RRQ_RUNNER_SOCKET": "a", "RRQ_EXECUTOR_SOCKET": "b"}) == "a"
    assert capsys.readouterr().err == ""


def test_the_old_option_works_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """``--socket`` was the Unix socket's option."""
    assert parse_options(["--socket", "/run/x"]) == AddressOptions(unix_socket="/run/x")
    assert "--socket is deprecated, use --unix-socket" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "environ", "problem"),
    [
        (AddressOptions(), {}, "no address: give --unix-socket"),
        (AddressOptions(), {"RRQ_RUNNER_SOCKET": ""}, "no address"),
        (AddressOptions(tcp_socket="127.0.0.1:1", stdio=True), {}, "several addresses: give one"),
        (
            AddressOptions(),
            {"RRQ_RUNNER_SOCKET": "/x", "RRQ_RUNNER_TCP_SOCKET": "127.0.0.1:1"},
            "several addresses: set one",
        ),
        (AddressOptions(tcp_socket="192.0.2.1:1"), {}, "not a loopback address"),
        (AddressOptions(tcp_socket="127.0.0.1"), {}, "no TCP address"),
        (AddressOptions(unix_socket=""), {}, "expected a path"),
    ],
)
def test_mistakes_are_explained(options: AddressOptions, environ: dict[str, str], problem: str) -> None:
    """No address, several, or an unusable one: the text says what to give."""
    with pytest.raises(EndpointError, match=problem):
        resolve_endpoint(options, environ)


def test_an_option_without_its_value_is_a_mistake() -> None:
    """The last word of a command line cannot be half an option."""
    with pytest.raises(EndpointError, match="--tcp-socket: expected a value"):
        parse_options(["--tcp-socket"])


def test_extensions_are_taken_out_of_the_environment() -> None:
    """They are for this process, not for the programs a handler starts."""
    environ = {"RRQ_RUNNER_EXTENSIONS": "hello, progress,,", "OTHER": "x"}
    assert take_extensions(environ) == {"hello", "progress"}
    assert environ == {"OTHER": "x"}
    assert take_extensions(environ) == frozenset()
