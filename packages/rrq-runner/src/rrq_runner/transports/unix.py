"""The default transport: a Unix socket in a private folder (RELIABILITY.md S15)."""

import asyncio
import os
import socket
import stat
from pathlib import Path

from rrq_protocol import UnixEndpoint
from rrq_runner.errors import StartupError
from rrq_runner.transports import SessionFactory

_BACKLOG = 128


class UnixListener:
    """A listening Unix socket. Knows which file it made, so that it never removes another's."""

    def __init__(self, server: asyncio.Server, path: Path) -> None:
        self._server = server
        self._path = path
        self._made = _identity(path)

    @property
    def address(self) -> str:
        """The path."""
        return str(self._path)

    def close(self) -> None:
        """Stop listening and remove the socket file, unless somebody has put another one there."""
        self._server.close()
        if self._made is not None and _identity(self._path) == self._made:
            self._path.unlink(missing_ok=True)


async def listen_unix(endpoint: UnixEndpoint, factory: SessionFactory) -> UnixListener:
    """Listen on a socket file with mode 0600 in a folder nobody else may write to.

    A missing folder is made, with mode 0700. A socket file nobody listens on any more is replaced.

    Raises:
        StartupError: The folder is open to others, the path is taken, or the system refuses.
    """
    path = Path(endpoint.path).absolute()
    listening = bind(path)
    server = await asyncio.get_running_loop().create_unix_server(factory, sock=listening, backlog=_BACKLOG)
    return UnixListener(server, path)


def bind(path: Path) -> socket.socket:
    """Return a socket bound to ``path``; see :func:`listen_unix`."""
    _check_folder(path)
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The file must never be visible with wider permissions, so the mask is set before, not the mode after.
    umask = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError as error:
        made.close()
        raise StartupError(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(umask)
    made.setblocking(False)
    return made


def _check_folder(path: Path) -> None:
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise StartupError(f"cannot make the folder of {path}: {error.strerror or error}") from error
    private = folder / f"rrq-{os.getuid()}" / path.name
    advice = f"name a socket in a folder of its own, such as {private}; it will be made"
    if found.st_uid not in (os.getuid(), 0):
        raise StartupError(
            f"{folder} belongs to user id {found.st_uid}, who could replace the socket; {advice}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StartupError(f"{folder} may be written to by other users; {advice}")


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StartupError(f"{path} exists and is no socket; name another path or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # its owner is gone without removing it
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise StartupError(f"{path} exists and cannot be tried: {error.strerror or error}") from error
    raise StartupError(f"{path} is in use: another runner listens there; stop it or name another path")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
