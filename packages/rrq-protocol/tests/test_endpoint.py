"""Addresses of runners: parsed once, loopback unless allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.endpoint import (
    MAX_UNIX_PATH_BYTES,
    StdioEndpoint,
    TcpEndpoint,
    UnixEndpoint,
    is_loopback,
    parse_tcp_socket,
    parse_unix_socket,
)
from rrq_protocol.errors import EndpointError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("127.255.255.254:1", "127.255.255.254", 1),
        ("localhost:65535", "localhost", 65535),
        ("LocalHost:80", "LocalHost", 80),
        ("[::1]:9000", "::1", 9000),
        ("127.0.0.1:0", "127.0.0.1", 0),
    ],
)
def test_loopback_addresses_are_parsed(text: str, host: str, port: int) -> None:
    """The three loopback forms give host and port, and print as they were written."""
    endpoint = parse_tcp_socket(text)
    assert endpoint == TcpEndpoint(host, port)
    assert str(endpoint) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no TCP address"),
        ("9000", "is no TCP address"),
        (":9000", "is no TCP address"),
        ("127.0.0.1", "is no TCP address"),
        ("127.0.0.1:", "no valid port"),
        ("127.0.0.1:x", "no valid port"),
        ("127.0.0.1:-1", "no valid port"),
        ("127.0.0.1:+1", "no valid port"),
        ("127.0.0.1: 1", "no valid port"),
        ("127.0.0.1:1\n", "no valid port"),
        ("127.0.0.1:1_0", "no valid port"),
        ("127.0.0.1:65536", "no valid port"),
        ("127.0.0.1:" + "9" * 5000, "no valid port"),
        ("127.0.0.1:\N{SUPERSCRIPT TWO}", "no valid port"),
        ("127.0.0.1:\N{ARABIC-INDIC DIGIT ONE}", "no valid port"),
        ("::1:9000", "write an IPv6 address in brackets"),
        ("[]:9000", "no IPv6 address in its brackets"),
        ("[localhost]:9000", "no IPv6 address in its brackets"),
        ("http://localhost:9000", "write an IPv6 address in brackets"),
        ("user@localhost:9000", "no valid host"),
        ("local host:9000", "no valid host"),
        ("\x1b[2J:9000", "no valid host"),
        ("lоcalhost:9000", "no valid host"),  # a Cyrillic o
        ("0.0.0.0:9000", "not a loopback address"),
        ("[::]:9000", "not a loopback address"),
        ("10.0.0.1:9000", "not a loopback address"),
        ("127.1:9000", "not a loopback address"),
        ("127.0.0.01:9000", "not a loopback address"),
        ("localhost.example.com:9000", "not a loopback address"),
        ("[fe80::1%eth0]:9000", "not a loopback address"),
    ],
    ids=ascii,
)
def test_other_addresses_are_refused(text: str, problem: str) -> None:
    """Each wrong form is refused with what is wrong and what is expected."""
    with pytest.raises(EndpointError, match=problem) as caught:
        parse_tcp_socket(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_further_hosts_must_be_allowed_by_name() -> None:
    """A host that is not loopback is taken if it is listed, whatever its case."""
    assert parse_tcp_socket("runner.internal:9000", ["Runner.Internal"]).host == "runner.internal"
    assert parse_tcp_socket("[fd00::7]:9000", ["fd00::7"]).host == "fd00::7"
    with pytest.raises(EndpointError, match="allowed_hosts"):
        parse_tcp_socket("other.internal:9000", ["runner.internal"])


def test_a_list_is_advised_where_there_can_be_one() -> None:
    """A runner has no `allowed_hosts`; it is told what can be done there."""
    for hosts, advice, other in (((), "allowed_hosts", "tunnel"), (None, "tunnel", "allowed_hosts")):
        with pytest.raises(EndpointError, match=advice) as caught:
            parse_tcp_socket("0.0.0.0:9000", hosts)
        assert other not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_endpoint_error(text: str) -> None:
    """No text makes parsing fail in another way, and what passes is loopback."""
    try:
        endpoint = parse_tcp_socket(text)
    except EndpointError:
        return
    assert is_loopback(endpoint.host)
    assert 0 <= endpoint.port <= 65535


@given(st.ip_addresses(), st.integers(0, 65535))
def test_printing_and_parsing_are_inverse(address: object, port: int) -> None:
    """The printed form of an endpoint parses to the same endpoint."""
    endpoint = TcpEndpoint(str(address), port)
    assert parse_tcp_socket(str(endpoint), [str(address)]) == endpoint


def test_unix_paths() -> None:
    """A path up to the length of a socket address is taken as it is."""
    assert parse_unix_socket("/run/rrq/s") == UnixEndpoint("/run/rrq/s")
    assert str(parse_unix_socket("s")) == "s"
    assert parse_unix_socket("x" * MAX_UNIX_PATH_BYTES).path == "x" * MAX_UNIX_PATH_BYTES


@pytest.mark.parametrize(
    "path", ["", "a\0b", "\0abstract", "x" * (MAX_UNIX_PATH_BYTES + 1), "ü" * 60, "\ud800"], ids=ascii
)
def test_paths_no_socket_can_have_are_refused(path: str) -> None:
    """Empty, NUL, overlong (in bytes) and unencodable paths are refused with the reason."""
    with pytest.raises(EndpointError, match="Unix socket"):
        parse_unix_socket(path)


def test_stdio_prints_its_name() -> None:
    """The stdio endpoint has no address but a name for logs."""
    assert str(StdioEndpoint()) == "stdio"
