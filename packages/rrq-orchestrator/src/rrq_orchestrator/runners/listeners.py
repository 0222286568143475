"""Find out whose socket answers on a local TCP port, so that nothing is sent to a stranger (RELIABILITY.md
S3, F80)."""

import os
from contextlib import suppress
from typing import Final, Literal

from rrq_orchestrator.runners.process_table import PROC, process_ids, read_entry

__all__ = ["is_foreign_listener", "whose_listener"]

_LISTENING: Final = "0A"
_TABLES: Final = ("net/tcp", "net/tcp6")


def is_foreign_listener(port: int, leader: int) -> bool:
    """Return True if it is certain that a port is served by none of a process's session and descendants. See
    :func:`whose_listener`.
    """
    return whose_listener(port, leader) == "foreign"


def whose_listener(port: int, leader: int) -> Literal["own", "foreign", "unknown"]:
    """Return whether a port is served by one of a process's session and descendants.

    Unknown where that cannot be found out: without ``/proc``, or for a socket held by root on the runner's
    behalf.

    Args:
        port: A local TCP port.
        leader: The process the port was given to, leader of its session.
    """
    sockets = _listening(port)
    if not sockets:
        return "unknown"
    if any(uid not in (os.geteuid(), 0) for uid in sockets.values()):
        return "foreign"
    wanted = {f"socket:[{inode}]" for inode in sockets}
    holders = [pid for pid in process_ids() if not wanted.isdisjoint(_open_files(pid))]
    if not holders:
        return "unknown"
    return "own" if any(_belongs(pid, leader) for pid in holders) else "foreign"


def _listening(port: int) -> dict[str, int]:
    """Return user id by inode of the sockets that listen on a port."""
    found: dict[str, int] = {}
    for table in _TABLES:
        try:
            lines = (PROC / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found[fields[9]] = int(fields[7])
    return found


def _open_files(pid: int) -> set[str]:
    names: set[str] = set()
    # Another user's process cannot be looked into; any other, and each of its files, may go meanwhile.
    with suppress(OSError), os.scandir(PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with suppress(OSError):
                names.add(os.readlink(entry.path))  # noqa: PTH115
    return names


def _belongs(pid: int, leader: int) -> bool:
    while pid > 1:
        if pid == leader:
            return True
        entry = read_entry(pid)
        if entry is None:
            return False
        if entry.session == leader:
            return True
        pid = entry.parent
    return False
