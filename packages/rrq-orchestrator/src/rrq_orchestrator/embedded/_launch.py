"""Become the embedded server, or the guard of one. Run as a script by ``server.py``, in a process of its own;
imports the standard library only.

    python -I -S _launch.py FOLDER SOCKET LOCK_FD TIE PROGRAM [ARGUMENT ...]

TIE is ``kept`` for a server that outlives its starter: this process becomes it. It is ``tied`` for one that
lives as long as somebody uses it: this process becomes its guard, and the server its child. Who uses it holds
``users.lock`` shared, so the guard only has to wait until it can have that lock alone; the kernel lets go of
the lock of a process that was killed, too. Should the guard be killed, the kernel ends the server (Linux).

Standard output and error are the log, LOCK_FD is ``server.lock``, locked.
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PATH = "/usr/local/bin:/usr/bin:/bin"


def serve(folder: str, socket: str, lock: int, *, kept: bool, command: list[str]) -> NoReturn:
    """Say who we are in ``server.lock``, and become the server."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "socket": socket, "kept": kept}).encode(), 0)
    os.umask(0o077)
    os.chdir(folder)
    os.set_inheritable(lock, True)
    # Not our environment: it may hold credentials, and the server needs nothing of it.
    os.execve(command[0], command, {"PATH": PATH, "LC_ALL": "C"})  # noqa: S606 - no shell is wanted


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the guard ends; survives the exec (prctl(2))."""
    if sys.platform != "linux":
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


def child_changed(number: int, frame: object) -> None:
    """Handle SIGCHLD: with the server, the guard's work ends. A server that was only stopped comes back."""
    if os.waitpid(-1, os.WNOHANG)[0]:
        os._exit(0)


def guard(folder: str, server: int) -> NoReturn:
    """Wait for the end of the server, or end it when nobody uses it any more."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    users = os.open(os.path.join(folder, "users.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)  # noqa: PTH118
    fcntl.flock(users, fcntl.LOCK_EX)  # until then, or until child_changed() ends us
    # Nobody can start another one before this one is gone, so what is announced is this one.
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, "server.json"))  # noqa: PTH108, PTH118
    os.kill(server, signal.SIGTERM)
    while True:
        signal.pause()  # the end is child_changed()


def main(folder: str, socket: str, lock: int, tie: str, command: list[str]) -> None:
    """Be the server, or start and guard it."""
    if tie == "kept":
        if os.fork() > 0:
            os._exit(0)  # so the server is nobody's child: no zombie stays if its starter lives on
        serve(folder, socket, lock, kept=True, command=command)
    parent = os.getpid()
    signal.signal(signal.SIGCHLD, child_changed)
    server = os.fork()
    if server == 0:
        die_with_parent(parent)
        serve(folder, socket, lock, kept=False, command=command)
    os.close(lock)  # it tells that a server lives, which this process is not
    guard(folder, server)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[5]} could not be started: {error}\n")
        sys.exit(127)
