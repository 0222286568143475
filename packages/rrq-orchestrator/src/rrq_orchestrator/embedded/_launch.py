"""Become the embedded server. Run as a script by ``server.py``, in a process of its own; imports the standard
library only.

    python -I -S _launch.py FOLDER SOCKET LOCK_FD TIE PARENT PROGRAM [ARGUMENT ...]

TIE is ``-`` for a server that outlives its starter, ``signal`` for one that the kernel ends with it, or the
number of a descriptor whose end of file says that the starter is gone (where the kernel offers no such
signal). PARENT is the starter's process id. Standard output and error are the log, LOCK_FD is
``server.lock``, locked.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PATH = "/usr/local/bin:/usr/bin:/bin"


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the starter's thread ends; survives the exec below (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


def watch_for_end(fd: int, lock: int) -> None:
    """Leave a child behind that ends this process, which is the server by then, when the starter is gone."""
    server = os.getpid()
    if os.fork() > 0:
        os.close(fd)
        return
    os.close(lock)  # it tells that a server lives, which this process is not
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.read(fd, 1):
        pass
    if os.getppid() == server:
        os.kill(server, signal.SIGTERM)
    os._exit(0)


def main(folder: str, socket: str, lock: int, tie: str, parent: int, command: list[str]) -> None:
    """Tie or untie, say who we are in ``server.lock``, and become the server."""
    if tie == "signal":
        die_with_parent(parent)
    elif tie == "-" and os.fork() > 0:
        os._exit(0)  # so the server is nobody's child: no zombie stays if its starter lives on
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "socket": socket}).encode(), 0)
    if tie.isdigit():
        watch_for_end(int(tie), lock)
    os.umask(0o077)
    os.chdir(folder)
    os.set_inheritable(lock, True)
    # Not our environment: it may hold credentials, and the server needs nothing of it.
    os.execve(command[0], command, {"PATH": PATH, "LC_ALL": "C"})  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), sys.argv[6:])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[6]} could not be started: {error}\n")
        sys.exit(127)
