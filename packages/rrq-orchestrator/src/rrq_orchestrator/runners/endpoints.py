"""Where the processes of one runner listen: sockets in a private folder, TCP ports, or their own stdin and
stdout.

Unix sockets are made in a folder only we may enter, and each process gets a path of its own, so that a
replacement can come up beside the process it replaces (RELIABILITY.md S1, S15, F80). We remove what we
named, and nothing else.
"""

import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from rrq_orchestrator.runners.process import StartFailed
from rrq_protocol import (
    Endpoint,
    EndpointError,
    RunnerConfig,
    StdioEndpoint,
    TcpEndpoint,
    UnixEndpoint,
    parse_tcp_socket,
)

__all__ = ["Endpoints", "tcp_base"]

_MAX_PATH_BYTES = 103
"""Longest path every supported system takes for a socket."""
_PREFIX = "rrq-runners-"
_SHORT_TMP = "/tmp"  # noqa: S108  # mkdtemp makes a private folder in it


def tcp_base(config: RunnerConfig) -> TcpEndpoint | None:
    """Return the configured TCP address of the first slot; None if the runner is to use Unix sockets.

    Raises:
        EndpointError: The address is unusable, or its host neither loopback nor allowed.
    """
    if config.tcp_socket is not None:
        return parse_tcp_socket(config.tcp_socket, config.allowed_hosts)
    if config.tcp_port is None:
        return None
    host = config.tcp_host or "127.0.0.1"
    text = f"[{host}]:{config.tcp_port}" if ":" in host else f"{host}:{config.tcp_port}"
    return parse_tcp_socket(text, config.allowed_hosts)


class Endpoints:
    """Addresses for the processes of one runner.

    Args:
        name: The runner's.
        config: Its settings.
        external: Whether somebody else starts the processes: then addresses are fixed, one per slot.
        any_port: Whether TCP ports are any free ones, instead of those configured.

    Raises:
        EndpointError: The configured address is unusable, now or for the last slot.
    """

    def __init__(self, name: str, config: RunnerConfig, *, external: bool, any_port: bool = False) -> None:
        self._name = name
        self._any_port = any_port
        self._config = config
        self._external = external
        self._tcp = tcp_base(config) if config.type == "socket" else None
        if self._tcp is not None and self._tcp.port and self._tcp.port + config.processes - 1 > 65535:
            raise EndpointError(
                f"port {self._tcp.port} leaves no room for {config.processes} processes; "
                "lower it or `pool_size`"
            )
        self._folder: Path | None = None
        self._serial = 0
        self._ports: dict[int, TcpEndpoint] = {}

    def allocate(self, slot: int) -> Endpoint:
        """Return the address for the next process of a slot. Give it back with :meth:`release`.

        Raises:
            StartFailed: The port is in use, or the folder is not private.
        """
        if self._config.type == "stdio":
            return StdioEndpoint()
        if self._tcp is not None:
            return self._tcp_address(slot, self._tcp)
        if self._external:
            return UnixEndpoint(str(Path(self._config.socket_dir or "", f"{self._name}-{slot}.sock")))
        self._serial += 1
        if self._config.socket_dir is None:
            path = str(self._private_folder() / f"{slot}-{self._serial}.sock")
        else:
            folder = _own_folder(Path(self._config.socket_dir))
            # Several orchestrators may share the folder.
            path = str(folder / f"{self._name}-{os.getpid()}-{slot}-{self._serial}.sock")
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise StartFailed(
                f"the socket path {path!r} is longer than {_MAX_PATH_BYTES} bytes; shorten `socket_dir`"
            )
        return UnixEndpoint(path)

    def can_come_home(self, slot: int, endpoint: Endpoint) -> bool:
        """Return whether a process listens on another port than its slot's own, which is free by now."""
        base = self._tcp
        if base is None or not base.port or self._external or self._any_port or slot in self._ports:
            return False
        return endpoint != TcpEndpoint(base.host, base.port + slot)

    def release(self, slot: int, endpoint: Endpoint) -> None:
        """Take an address back, after its process ended."""
        if self._external:
            return
        if isinstance(endpoint, UnixEndpoint):
            with suppress(OSError):
                Path(endpoint.path).unlink()
        elif self._ports.get(slot) == endpoint:
            del self._ports[slot]

    def close(self) -> None:
        """Remove the private folder. A later :meth:`allocate` makes a new one."""
        if self._folder is not None:
            _remove(self._folder)
            self._folder = None

    def _tcp_address(self, slot: int, base: TcpEndpoint) -> TcpEndpoint:
        if self._external:
            return TcpEndpoint(base.host, base.port + slot)
        # While a predecessor still holds the slot's own port, its replacement takes a free one, for the time
        # being (`can_come_home`).
        if self._any_port or base.port == 0 or slot in self._ports:
            return _free_port(base.host)
        endpoint = TcpEndpoint(base.host, base.port + slot)
        _check_port(endpoint)
        self._ports[slot] = endpoint
        return endpoint

    def _private_folder(self) -> Path:
        if self._folder is None:
            try:
                folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
                if len(os.fsencode(folder)) > _MAX_PATH_BYTES - 20:
                    folder.rmdir()
                    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_SHORT_TMP))
            except OSError as error:
                raise StartFailed(f"cannot make a folder for the runner's sockets: {error}") from error
            for parent in {folder.parent, Path(tempfile.gettempdir())}:
                _sweep(parent)
            self._folder = folder
        return self._folder


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for left in folder.glob("*.sock"):
            left.unlink()
        folder.rmdir()


def _sweep(parent: Path) -> None:
    """Remove the folders of orchestrators of ours that were killed: they could not do it themselves."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not owner.isdigit() or _runs(int(owner)):
            continue
        with suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                _remove(folder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _own_folder(folder: Path) -> Path:
    """Make a configured folder if need be, and make sure that nobody else can put anything into it.

    Raises:
        StartFailed: It belongs to another user, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StartFailed(f"cannot make the folder of `socket_dir`: {error}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StartFailed(f"`socket_dir` {str(folder)!r} is not a folder of our own; name another one")
    if status.st_mode & 0o077:
        raise StartFailed(
            f"`socket_dir` {str(folder)!r} can be entered by other users "
            f"(mode {status.st_mode & 0o777:03o}); make it private with mode 700"
        )
    return folder


def _bind(endpoint: TcpEndpoint) -> TcpEndpoint:
    family, kind, protocol, _, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections of a predecessor that are still closing are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        port: int = probe.getsockname()[1]
    return TcpEndpoint(endpoint.host, port)


def _check_port(endpoint: TcpEndpoint) -> None:
    try:
        _bind(endpoint)
    except OSError as error:
        raise StartFailed(
            f"the address {endpoint} cannot be used: {error.strerror}; end the program that uses it, "
            "or change `tcp_port`"
        ) from error


def _free_port(host: str) -> TcpEndpoint:
    try:
        return _bind(TcpEndpoint(host, 0))
    except OSError as error:
        raise StartFailed(f"no free port on {host}: {error.strerror}") from error
