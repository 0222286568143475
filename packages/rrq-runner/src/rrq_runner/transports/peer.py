"""Who is at the other end of a connection on this host (RELIABILITY.md S1, S2).

A runner executes what it is told, so it listens to its own user and root only. The kernel tells a Unix
socket's peer directly. For TCP on the loopback interface Linux lists every socket with its owner, the peer's
included.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

_ESTABLISHED = "01"


def refusal(transport: asyncio.BaseTransport, allowed_uids: Collection[int]) -> str | None:
    """Return why the peer of ``transport`` may not connect, or None if it may.

    A system that does not tell (no ``SO_PEERCRED``, no ``/proc/net``) admits everybody who came this far: the
    socket's permissions and the loopback interface are then the only fence.
    """
    known, uid = peer_uid(transport.get_extra_info("socket"))
    if not known or uid in (os.getuid(), 0) or uid in allowed_uids:
        return None
    if uid is None:
        return "its owner cannot be found out; is it gone already?"
    return f"it belongs to user id {uid}, not {os.getuid()}; RunnerSettings(allowed_uids=...) admits others"


def peer_uid(connection: Any) -> tuple[bool, int | None]:
    """Return whether this system can tell the peer's owner, and its user id.

    None where it should but has none.
    """
    if connection.family == socket.AF_UNIX:
        if not hasattr(socket, "SO_PEERCRED"):
            return False, None
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return True, struct.unpack("3i", credentials)[1]
    try:
        rows = list(_tcp_rows())
    except OSError:
        return False, None
    theirs, ours = _forms(connection.getpeername()), _forms(connection.getsockname())
    # Only an established socket has an owner; one that is being closed is listed as root's.
    uids = [
        uid
        for local, remote, state, uid in rows
        if local in theirs and remote in ours and state == _ESTABLISHED
    ]
    return True, uids[0] if uids else None


def _tcp_rows() -> Iterator[tuple[str, str, str, int]]:
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        path = Path(name)
        if name.endswith("6") and not path.exists():
            return  # a kernel without IPv6
        for line in path.read_text().splitlines()[1:]:
            columns = line.split()
            yield columns[1], columns[2], columns[3], int(columns[7])


def _forms(address: tuple[Any, ...]) -> set[str]:
    """Return the ways the kernel's tables may write an address; an IPv4 one may belong to an IPv6 socket."""
    ip = ip_address(address[0])
    every: list[IPv4Address | IPv6Address] = [ip]
    if ip.version == 4:
        every.append(IPv6Address(f"::ffff:{ip}"))
    return {f"{_words(each.packed)}:{address[1]:04X}" for each in every}


def _words(packed: bytes) -> str:
    words = struct.unpack(
        f"={len(packed) // 4}I", packed
    )  # the kernel prints each word in the host's byte order
    return "".join(f"{word:08X}" for word in words)
