"""Whose port it is can be told from the kernel's tables."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from rrq_orchestrator.runners.listeners import is_foreign_listener, whose_listener
from support.processes import wait_until_gone

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tables are Linux's")

LISTEN = (
    "import os, socket, time; server = socket.create_server(('127.0.0.1', 0)); "
    "print(server.getsockname()[1], os.getpid(), flush=True); time.sleep(600)"
)


@contextmanager
def serving(*prefix: str) -> Iterator[tuple[int, int]]:
    """Run a program that listens, in a session of its own; serve its process id and port."""
    command = [*prefix, sys.executable, "-S", "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        listener = process.pid
        try:
            port, listener = map(int, process.stdout.readline().split())
            yield process.pid, port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            # It may be in a session of its own, which the end of the group does not reach.
            with suppress(ProcessLookupError):
                os.kill(listener, signal.SIGKILL)
            wait_until_gone([listener])


@pytest.mark.parametrize("prefix", [(), ("sh", "-c", '"$@"; exit', "sh"), ("setsid", "--wait")])
def test_its_own_port_is_not_foreign(prefix: tuple[str, ...]) -> None:
    """A process's port is its own, also if a child holds it, even in another session."""
    with serving(*prefix) as (pid, port):
        assert not is_foreign_listener(port, pid)
        assert whose_listener(port, pid) == "own"


def test_anothers_port_is_foreign() -> None:
    """A port held by an unrelated process of the same user is foreign."""
    with serving() as (pid, _), socket.create_server(("127.0.0.1", 0)) as stranger:
        assert is_foreign_listener(stranger.getsockname()[1], pid)


def test_a_port_nobody_listens_on_is_unknown() -> None:
    """What cannot be found out is not called foreign."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert not is_foreign_listener(probe.getsockname()[1], os.getpid())
        assert whose_listener(probe.getsockname()[1], os.getpid()) == "unknown"
