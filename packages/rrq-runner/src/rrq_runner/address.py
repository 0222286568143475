"""Where this runner listens: told by its arguments or its environment (RUNNER_PROTOCOL.md *Transports*)."""

import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from rrq_protocol import Endpoint, EndpointError, StdioEndpoint, UnixEndpoint, parse_tcp_socket

TCP_VARIABLE: Final = "RRQ_RUNNER_TCP_SOCKET"
UNIX_VARIABLE: Final = "RRQ_RUNNER_SOCKET"
SETTINGS_VARIABLE: Final = "RRQ_RUNNER_SETTINGS"
EXTENSIONS_VARIABLE: Final = "RRQ_RUNNER_EXTENSIONS"

_OLD_NAMES: Final = {
    TCP_VARIABLE: "RRQ_EXECUTOR_TCP_SOCKET",
    UNIX_VARIABLE: "RRQ_EXECUTOR_SOCKET",
    SETTINGS_VARIABLE: "RRQ_EXECUTOR_SETTINGS",
}

_NO_ADDRESS = (
    "no address: give --unix-socket PATH, --tcp-socket HOST:PORT or --stdio, or set "
    f"{UNIX_VARIABLE} or {TCP_VARIABLE} (an orchestrator does so for the runners it starts)"
)


@dataclass(frozen=True, slots=True)
class AddressOptions:
    """The address options of a command line."""

    tcp_socket: str | None = None
    unix_socket: str | None = None
    stdio: bool = False

    @property
    def given(self) -> int:
        """How many of them were given."""
        return sum((self.tcp_socket is not None, self.unix_socket is not None, self.stdio))


def resolve_endpoint(options: AddressOptions, environ: Mapping[str, str]) -> Endpoint:
    """Return where to listen. Options override the environment as a whole.

    Raises:
        EndpointError: There is no address, there are several, or it cannot be used.
    """
    if options.given > 1:
        raise EndpointError("several addresses: give one of --unix-socket, --tcp-socket and --stdio")
    if options.given == 1:
        return StdioEndpoint() if options.stdio else _socket(options.tcp_socket, options.unix_socket)
    tcp_socket, unix_socket = variable(TCP_VARIABLE, environ), variable(UNIX_VARIABLE, environ)
    if tcp_socket and unix_socket:
        raise EndpointError(f"several addresses: set one of {UNIX_VARIABLE} and {TCP_VARIABLE}")
    if not tcp_socket and not unix_socket:
        raise EndpointError(_NO_ADDRESS)
    return _socket(tcp_socket, unix_socket)


def is_without_address(options: AddressOptions, environ: Mapping[str, str]) -> bool:
    """Return whether neither the command line nor the environment says where to listen."""
    variables = (TCP_VARIABLE, UNIX_VARIABLE)
    return not options.given and not any(
        environ.get(name) or environ.get(_OLD_NAMES[name]) for name in variables
    )


def variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return an environment variable under its present name, or under that of earlier versions with a
    warning.
    """
    value = environ.get(name)
    if value:
        return value
    old = _OLD_NAMES[name]
    value = environ.get(old)
    if value:
        warn_old_name(old, name)
    return value or None


def warn_old_name(old: str, new: str) -> None:
    """Say on stderr that a name is deprecated.

    Not a Python warning: it is for operators, not for importers.
    """
    sys.stderr.write(f"rrq-runner: {old} is deprecated, use {new}\n")


def parse_options(arguments: Sequence[str]) -> AddressOptions:
    """Return the address options among the arguments of a program of its own; others are left to the program.

    Raises:
        EndpointError: An option has no value.
    """
    values: dict[str, str] = {}
    words = list(arguments)
    while words:
        option, separator, value = words.pop(0).partition("=")
        name = _OPTIONS.get(option)
        if name is None:
            continue
        if name == "stdio":
            values[name] = "yes"
            continue
        if option == "--socket":
            warn_old_name(option, "--unix-socket")
        if not separator:
            if not words:
                raise EndpointError(f"{option}: expected a value")
            value = words.pop(0)
        values[name] = value
    return AddressOptions(values.get("tcp_socket"), values.get("unix_socket"), "stdio" in values)


def take_extensions(environ: MutableMapping[str, str]) -> frozenset[str]:
    """Return the protocol extensions the orchestrator offers, and keep them from this process's children."""
    return frozenset(each.strip() for each in environ.pop(EXTENSIONS_VARIABLE, "").split(",") if each.strip())


_OPTIONS: Final = {
    "--tcp-socket": "tcp_socket",
    "--unix-socket": "unix_socket",
    "--socket": "unix_socket",
    "--stdio": "stdio",
}


def _socket(tcp_socket: str | None, unix_socket: str | None) -> Endpoint:
    if tcp_socket is not None:
        return parse_tcp_socket(tcp_socket)
    if not unix_socket or "\0" in unix_socket:
        raise EndpointError("--unix-socket: expected a path")
    return UnixEndpoint(unix_socket)
