"""The folder of an embedded server: its files, its locks, and who may use it (RELIABILITY.md S15)."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
from rrq_protocol.settings import SERVER_FILE

__all__ = ["MAX_SOCKET_BYTES", "Folder", "Record"]

MAX_SOCKET_BYTES: Final = 100
"""Longest path of the socket; kernels stop at 103 to 107 bytes, and without a usable error."""

_SOCKET: Final = "redis.sock"
_IGNORE: Final = "*\n"
_SOCKET_DIR_PREFIX: Final = "rrq-"
_MAX_RECORD_BYTES: Final = 64 * 1024
_MAX_LOG_BYTES: Final = 4 * 1024 * 1024
_POLL_S: Final = 0.01


class Record(msgspec.Struct, frozen=True):
    """Content of ``server.lock``: true while the lock is held.

    Attributes:
        kept: Whether it lives until it is stopped, rather than as long as somebody uses it.
    """

    pid: int
    socket: str
    kept: bool = False


class Folder:
    """One folder, by absolute path. Nothing is created before :meth:`prepare`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links people set on purpose
        self.log: Final = self.path / "valkey.log"
        self.server_file: Final = self.path / SERVER_FILE
        self._server_lock: Final = self.path / "server.lock"
        self._start_lock: Final = self.path / "start.lock"
        self._users_lock: Final = self.path / "users.lock"

    def prepare(self, *, uid: int | None = None) -> None:
        """Create the folder, or check that the existing one is ours, and close it to other users.

        Args:
            uid: Whose it must be; the user of this process by default.

        Raises:
            EmbeddedSetupError: It cannot be created, belongs to another user, or holds somebody else's files.
        """
        uid = os.geteuid() if uid is None else uid
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = self.path.stat()
            if info.st_uid != uid:
                raise EmbeddedSetupError(
                    f"{self.path}: expected a folder of user {uid}, it belongs to user {info.st_uid}; "
                    'use another folder (redis_dsn = "embedded://<folder>"), or change its owner'
                )
            self._mark_as_ours()
            if stat.S_IMODE(info.st_mode) != 0o700:
                self.path.chmod(0o700)
        except OSError as error:
            raise EmbeddedSetupError(
                f"{self.path}: cannot be used for an embedded server: {error.strerror}; "
                'use another folder (redis_dsn = "embedded://<folder>")'
            ) from error

    def _mark_as_ours(self) -> None:
        """Write the ``.gitignore`` that hides everything here, unless it would hide somebody else's files."""
        ignore = self.path / ".gitignore"
        written = ignore.read_text(errors="replace") if ignore.is_file() else None
        if written == _IGNORE:
            return
        names = [entry.name for entry in self.path.iterdir() if entry.name != self._start_lock.name]
        if written is not None and _IGNORE.startswith(written):
            names.remove(ignore.name)  # a start that was killed while it wrote this file
        if names and self._server_lock.name not in names:
            raise EmbeddedSetupError(
                f"{self.path}: expected an empty folder or one of an earlier embedded server, it holds "
                f'{len(names)} other files; use another one (redis_dsn = "embedded://.rrq")'
            )
        ignore.write_text(_IGNORE)

    @contextlib.contextmanager
    def starting(self, *, within_s: float) -> Iterator[None]:
        """Hold the right to start or stop a server here.

        Raises:
            EmbeddedServerError: Somebody else has it for longer than ``within_s``.
        """
        fd = _open_lock(self._start_lock)
        try:
            give_up = time.monotonic() + within_s
            while not _try_lock(fd):
                if time.monotonic() > give_up:
                    raise EmbeddedServerError(
                        f"{self.path}: another process has been starting or stopping the embedded server for "
                        f"{within_s:.0f} s; see {self.log}"
                    )
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(fd)

    def take_server_lock(self) -> int | None:
        """Lock ``server.lock`` for a server to be started; None if a server holds it.

        The lock lives as long as any copy of the descriptor: hand it to the server, then close this one.
        """
        fd = _open_lock(self._server_lock)
        if _try_lock(fd):
            return fd
        os.close(fd)
        return None

    def has_server(self) -> bool:
        """Whether a server process lives in this folder."""
        try:
            fd = os.open(self._server_lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR}:
                return False
            raise EmbeddedSetupError(f"{self._server_lock}: cannot be read: {error.strerror}") from error
        try:
            # Shared, so that two who look at the same time do not take each other for a server.
            return not _try_lock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def use(self) -> int | None:
        """Keep the server alive for as long as the returned descriptor, or any copy of it, is open.

        None if that is too late: its guard is just ending it.
        """
        fd = _open_lock(self._users_lock)
        if _try_lock(fd, fcntl.LOCK_SH):
            return fd
        os.close(fd)
        return None

    def is_used(self) -> bool:
        """Whether somebody uses the server; false also if it is being ended because nobody does."""
        fd = _open_lock(self._users_lock)
        try:
            return not _try_lock(fd) and _try_lock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def was_killed(self) -> bool:
        """Whether the latest server ended without being asked to, given that none lives."""
        return self.record() is not None

    def forget(self) -> None:
        """Note that there is no server because none is wanted. Hold the right to start one meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self._server_lock, 0)

    def record(self) -> Record | None:
        """Return what the latest server wrote about itself, or None. True only if :meth:`has_server`."""
        try:
            with self._server_lock.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_RECORD_BYTES), type=Record)
        except (OSError, ValueError):  # absent, empty or caught half-written
            return None

    def choose_socket(self) -> str:
        """Return where the next server shall listen: here, or in a private folder if the path is too long."""
        here = str(self.path / _SOCKET)
        if len(os.fsencode(here)) <= MAX_SOCKET_BYTES:
            return here
        record = self.record()
        if record is not None:
            # Where the one before it was, that was killed: its clients look for it there.
            with contextlib.suppress(OSError):
                os.mkdir(os.path.dirname(record.socket), 0o700)  # noqa: PTH102, PTH120
                return record.socket
        elsewhere = Path(tempfile.mkdtemp(prefix=_SOCKET_DIR_PREFIX)) / _SOCKET
        if len(os.fsencode(elsewhere)) > MAX_SOCKET_BYTES:
            elsewhere.parent.rmdir()
            elsewhere = Path(tempfile.mkdtemp(prefix=_SOCKET_DIR_PREFIX, dir="/tmp")) / _SOCKET
        return str(elsewhere)

    def announce(self, socket: str, pid: int, version: str) -> None:
        """Write ``server.json`` in one step: readers see the old one or the new one, never half of it."""
        new = self.server_file.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:  # noqa: PTH123 - the mode
            json.dump({"socket": socket, "pid": pid, "version": version}, file)
            file.write("\n")
        new.replace(self.server_file)

    def clear(self) -> None:
        """Remove what a server that is gone left behind: announcement and socket. Its data stays."""
        record = self.record()
        for path in (self.server_file, self.path / _SOCKET):
            path.unlink(missing_ok=True)
        if record is not None and Path(record.socket).parent != self.path:
            _remove_socket_folder(Path(record.socket))

    def open_log(self) -> tuple[int, int]:
        """Return a descriptor to append to the log, and the log's size. A large log is put aside first."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _MAX_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        return fd, os.fstat(fd).st_size

    def log_since(self, offset: int, *, lines: int = 8) -> str:
        """Return the last ``lines`` lines written to the log after ``offset``, for an error text."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(offset, self.log.stat().st_size - 64 * 1024))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        printable = ["".join(c if c.isprintable() else "?" for c in line) for line in text.splitlines()]
        return "\n".join(f"    {line}" for line in printable[-lines:])


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EmbeddedSetupError(f"{path}: cannot be opened: {error.strerror}") from error


def _try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_socket_folder(socket: Path) -> None:
    """Remove a temporary socket folder of ours: only if it is ours, private, and named as we name them."""
    folder = socket.parent
    try:
        info = folder.lstat()
    except OSError:
        return
    ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o077
    if ours and folder.name.startswith(_SOCKET_DIR_PREFIX) and socket.name == _SOCKET:
        shutil.rmtree(folder, ignore_errors=True)
