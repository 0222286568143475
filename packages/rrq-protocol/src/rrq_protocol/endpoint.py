"""Where a runner listens: a TCP port, a Unix socket, or its own stdin and stdout."""

import ipaddress
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, TypeAlias

from rrq_protocol.errors import EndpointError, shown

MAX_UNIX_PATH_BYTES: Final = 103
"""What the shortest ``sun_path`` among the supported systems (104 bytes) holds besides its closing NUL."""

_TCP_FORM = "expected host:port, such as 127.0.0.1:9000, [::1]:9000 or localhost:9000"
_MAX_HOST_CHARS = 253
_WITH_A_LIST = "or list the host in allowed_hosts if the network between is trusted"
_WITHOUT_A_LIST = (
    "and for an orchestrator elsewhere let an encrypted tunnel (SSH, WireGuard, stunnel) end on this host"
)


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """A TCP address. ``host`` has no brackets; ``port`` 0 lets the listener choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """A Unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class StdioEndpoint:
    """The runner's own stdin and stdout, one message per line."""

    def __str__(self) -> str:
        return "stdio"


Endpoint: TypeAlias = TcpEndpoint | UnixEndpoint | StdioEndpoint


def parse_tcp_socket(text: str, allowed_hosts: Collection[str] | None = None) -> TcpEndpoint:
    """Return the address in ``"127.0.0.1:9000"``, ``"[::1]:9000"`` or ``"localhost:9000"``.

    The runner protocol has no encryption and a runner executes what it is told, so only loopback hosts are
    taken unless a host is listed.

    Args:
        text: The address. Port 0 means a free port of the listener's choice.
        allowed_hosts: Further hosts to accept, compared without regard to case. None where nobody can list
            any, as in a runner: then the message does not advise it.

    Raises:
        EndpointError: The form is wrong, the port is out of range, or the host is neither loopback nor
            allowed.
    """
    host, separator, port_text = text.rpartition(":")
    if not separator or not host:
        raise EndpointError(f"{shown(text)} is no TCP address: {_TCP_FORM}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise EndpointError(f"{shown(text)} has no IPv6 address in its brackets: {_TCP_FORM}")
    elif ":" in host:
        raise EndpointError(
            f"{shown(text)} is ambiguous: write an IPv6 address in brackets, as in [::1]:9000"
        )
    if not _is_host(host):
        raise EndpointError(f"{shown(text)} has no valid host: {_TCP_FORM}")
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and int(port_text) <= 65535):
        raise EndpointError(f"{shown(text)} has no valid port: expected a number from 0 to 65535")
    if not is_loopback(host) and host.casefold() not in {each.casefold() for each in allowed_hosts or ()}:
        otherwise = _WITHOUT_A_LIST if allowed_hosts is None else _WITH_A_LIST
        raise EndpointError(
            f"{shown(host)} is not a loopback address: use 127.0.0.1, ::1 or localhost, {otherwise}"
        )
    return TcpEndpoint(host, int(port_text))


def parse_unix_socket(path: str) -> UnixEndpoint:
    """Return the endpoint of a socket file.

    Raises:
        EndpointError: The path is empty, holds a NUL, or is longer than a socket address can hold.
    """
    if not path or "\0" in path:
        raise EndpointError(f"{shown(path)} is no path of a Unix socket: expected a file name without NUL")
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise EndpointError(f"{shown(path)} is no path of a Unix socket: it cannot be encoded") from None
    if size > MAX_UNIX_PATH_BYTES:
        raise EndpointError(
            f"{shown(path)} has {size} bytes, a Unix socket's path may have {MAX_UNIX_PATH_BYTES}; "
            "use a shorter folder, such as one below /tmp"
        )
    return UnixEndpoint(path)


def is_loopback(host: str) -> bool:
    """Return True if ``host`` is ``localhost`` or a loopback address. Nothing is looked up."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    return (
        host.isascii()
        and host.isprintable()
        and len(host) <= _MAX_HOST_CHARS
        and not set(host) & set(" /@#?[]")
    )
