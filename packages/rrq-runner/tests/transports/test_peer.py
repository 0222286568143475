"""The kernel says who is at the other end."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from rrq_runner.transports import peer


def connected_pair(family: int, address: Any) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection, the listening program's first."""
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(address)
        listening.listen()
        theirs = socket.socket(family, socket.SOCK_STREAM)
        theirs.connect(listening.getsockname())
        return listening.accept()[0], theirs


def test_the_owner_of_a_unix_sockets_peer_is_known(tmp_path: Path) -> None:
    """Where the system tells, it is this user."""
    ours, theirs = connected_pair(socket.AF_UNIX, str(tmp_path / "s"))
    with ours, theirs:
        expected = (True, os.getuid()) if hasattr(socket, "SO_PEERCRED") else (False, None)
        assert peer.peer_uid(ours) == expected


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_owner_of_a_tcp_peer_is_known(family: int, host: str) -> None:
    """Found among the connections of this host, on either family."""
    try:
        ours, theirs = connected_pair(family, (host, 0))
    except OSError:
        return  # a machine without IPv6 has no such peers
    with ours, theirs:
        expected = (True, os.getuid()) if Path("/proc/net/tcp").exists() else (False, None)
        assert peer.peer_uid(ours) == expected


def test_an_ipv4_peer_behind_an_ipv6_socket_is_found() -> None:
    """A program may reach 127.0.0.1 through a socket of the other family."""
    try:
        theirs = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    except OSError:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening, theirs:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        theirs.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
        with listening.accept()[0] as ours:
            known, uid = peer.peer_uid(ours)
            assert not known or uid == os.getuid()


def test_a_closed_peer_has_no_owner() -> None:
    """A connection that is being closed belongs to nobody, least of all to root."""
    ours, theirs = connected_pair(socket.AF_INET, ("127.0.0.1", 0))
    theirs.close()
    with ours:
        known, uid = peer.peer_uid(ours)
        assert not known or uid is None


class NoTransport(asyncio.BaseTransport):
    """A transport without a socket."""


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ((False, None), None),
        ((True, os.getuid()), None),
        ((True, 0), None),
        ((True, 4242), None),
        ((True, 4343), "user id 4343"),
        ((True, None), "cannot be found out"),
    ],
)
def test_strangers_are_refused(
    answer: tuple[bool, int | None], refused: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This user, root and whom the settings name may connect; nobody else where the system tells (S1, S2)."""
    monkeypatch.setattr(peer, "peer_uid", lambda connection: answer)
    problem = peer.refusal(NoTransport(), allowed_uids=(4242,))
    assert (problem is None) if refused is None else (problem is not None and refused in problem)
