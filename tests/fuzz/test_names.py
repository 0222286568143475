"""Names, addresses and prefixes from anywhere (RELIABILITY.md F85, S24)."""

import ipaddress
import string
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from rrq_protocol import EndpointError, InvalidName, Keyspace
from rrq_protocol.endpoint import parse_tcp_socket, parse_unix_socket
from rrq_protocol.names import (
    split_function_name,
    validate_function_name,
    validate_job_id,
    validate_queue_name,
)
from support.fuzzing import Fuzz, Tree
from support.fuzzing.text import check_one_line

SHARE = 1 / 6  # 50,000 of 300,000
QUEUE = set(string.ascii_letters + string.digits + "._-")
TOKENS = (
    b"..", b":", b"#", b"a#b", b"*", b"?", b"[", b"]", b"\n", b"\0", b"\x1b[2J", b"x" * 128, b"x" * 129,
    b"f" * 256, b"f" * 257, b"127.0.0.1:9000", b"[::1]:0", b"localhost:65535", b"localhost:65536",
    b"0.0.0.0:1", b"127.1:1", b"[::ffff:127.0.0.1]:1", b"[::1%lo]:1", b"2130706433:1", b"0x7f000001:1",
    b"LOCALHOST:1", b"example.com:1", b"user@127.0.0.1:1", b"127.0.0.1:1/x", "１２７.0.0.1:1".encode(),
    "127.0.0.1:９".encode(), b"unix", b"/tmp/x.sock", b"/" + b"a" * 103, "größe".encode(),
    "\U0001f600".encode(), b"{rrq}", b" ", b"\xc2\xa0", b"\xe2\x80\xae", b"text", b"allowed",
)  # fmt: skip


def _tried(call: Callable[[Any], Any], value: Any) -> Any:
    """Return what a validator returns, None where it refuses; a refusal is one printable line."""
    try:
        return call(value)
    except (InvalidName, EndpointError) as error:
        check_one_line(error, 500)
        return None


def check(case: Any) -> Iterable[Hashable]:
    """A value is taken as it is, and only where the rules allow it."""
    case = case if isinstance(case, dict) else {"text": case}
    value, allowed = case.get("text"), case.get("allowed")
    text = value if isinstance(value, str) else str(value)
    small = 1 <= len(text) <= 128
    names = {
        "queue": (_tried(validate_queue_name, value), small and set(text) <= QUEUE),
        "job": (_tried(validate_job_id, value), small and set(text) <= QUEUE | {":"}),
        "function": (_tried(validate_function_name, value), _is_function(text)),
    }
    for taken, right in names.values():
        assert taken == (value if isinstance(value, str) and right else None)
    split = _tried(split_function_name, value)
    if split is not None:
        assert "#".join(part for part in split if part is not None) == value
        assert split[0] is None or _tried(validate_queue_name, split[0])
    prefix = _tried(Keyspace, text)
    assert prefix is None or (1 <= len(text) <= 64 and not any(map(str.isspace, text)))
    hosts = [each for each in allowed if isinstance(each, str)] if isinstance(allowed, list) else []
    return [*(name for name, (taken, _) in names.items() if taken), *_endpoints(text, hosts)]


def _is_function(text: str) -> bool:
    if not (1 <= len(text) <= 256 and text.isprintable() and text.strip()):
        return False
    runner, separator, handler = text.partition("#")
    return not separator or (bool(handler.strip()) and 1 <= len(runner) <= 128 and set(runner) <= QUEUE)


def _endpoints(text: str, hosts: list[str]) -> Iterable[Hashable]:
    unix = _tried(parse_unix_socket, text)
    assert unix is None or (0 < len(text.encode(errors="surrogateescape")) <= 103 and "\0" not in text)
    tcp = _tried(lambda each: parse_tcp_socket(each, hosts), text)
    if tcp is None:
        return [("unix", unix is not None)]
    assert 0 <= tcp.port <= 65535
    loopback = tcp.host.casefold() == "localhost" or _is_loopback(tcp.host)
    assert loopback or tcp.host.casefold() in [host.casefold() for host in hosts]
    assert parse_tcp_socket(str(tcp), hosts) == tcp
    return ["tcp", ("loopback", loopback)]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def test_any_name_and_address_is_taken_as_it_is_or_refused(fuzz: Fuzz) -> None:
    """Any value as queue, job id, function, key prefix or address: taken unchanged if the rules allow it,
    else refused with one printable line; an address that is taken is loopback or was allowed, and reads as
    itself.
    """
    report = fuzz.run("names", Tree(TOKENS), check, share=SHARE)
    if fuzz.only is None:
        assert {"queue", "job", "function", "tcp", ("loopback", False)} <= set(report.outcomes)
