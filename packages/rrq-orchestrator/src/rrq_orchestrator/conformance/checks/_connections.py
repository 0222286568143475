"""Connections come and go."""

import ipaddress
import sys
from pathlib import Path

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.talk import expect_success
from rrq_orchestrator.conformance.verdict import Finding, Violation
from rrq_protocol import TcpEndpoint

_LISTENING = "0A"


async def starts(bench: Bench) -> str | None:
    """It comes up where it was told to, and answers."""
    talk = await bench.talk()
    expect_success(await talk.call("echo", {"a": 1}), {"a": 1})
    return None


async def reconnect(bench: Bench) -> str | None:
    """After a connection was closed, with open requests, the next one is served."""
    for number in range(3):
        talk = await bench.talk()
        expect_success(await talk.call("echo", {"n": number}), {"n": number})
        talk.ask("sleep", {"seconds": 600})
        await talk.fence()
        talk.link.close()
    await (await bench.talk()).fence()
    return None


async def second(bench: Bench) -> str | None:
    """Two connections at a time, each with its own requests, even of the same id."""
    one, two = await bench.talk(), await bench.talk()
    for number in range(3):
        same = {"request_id": f"same-{number}", "job_id": f"same-{number}"}
        first, other = one.ask("echo", {"of": 1}, **same), two.ask("echo", {"of": 2}, **same)
        expect_success(await two.answer(other), {"of": 2})
        expect_success(await one.answer(first), {"of": 1})
    one.link.close()
    await two.fence()
    return None


async def loopback(bench: Bench) -> str | None:
    """A TCP port is for this machine only."""
    await (await bench.talk()).fence()
    endpoint = bench.endpoint
    assert isinstance(endpoint, TcpEndpoint)
    found = [
        address for table in ("tcp", "tcp6") for address, port in _listeners(table) if port == endpoint.port
    ]
    if not found:
        return "cannot be seen on this system"
    if wide := [address for address in found if not _is_loopback(address)]:
        raise Finding(f"expected the port to listen on loopback only, it listens on {', '.join(wide)}")
    return None


async def nonce(bench: Bench) -> str | None:
    """A TCP port is for the orchestrator that started the process (docs/protocol.md, *Over TCP*)."""
    try:
        await (await bench.talk()).fence()
        if bench.took_nonce:
            await _refuses_strangers(bench)
    except Finding as finding:
        raise Violation(str(finding)) from None
    if not bench.took_nonce:
        raise Finding("took no nonce (RRQ_RUNNER_NONCE_FD): any local user can connect and run its handlers")
    return None


async def _refuses_strangers(bench: Bench) -> None:
    stranger = await bench.stranger()
    stranger.ask("echo", {"stranger": 1})
    closed = await stranger.link.closed(bench.patience_s)
    if not closed or stranger.link.received:
        raise Finding("took its nonce: expected a stranger's connection to be closed without a word")
    await (await bench.talk()).fence()


def _listeners(table: str) -> list[tuple[str, int]]:
    try:
        lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    places = [row[1].rpartition(":") for row in rows if row[3] == _LISTENING]
    return [(address, int(port, 16)) for address, _, port in places]


def _is_loopback(address: str) -> bool:
    """Whether an address of the kernel's table, each word of it in the machine's order, is a loopback one."""
    data = b"".join(
        int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)
    )
    found = ipaddress.ip_address(data)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
