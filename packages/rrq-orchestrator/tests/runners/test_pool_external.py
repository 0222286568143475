"""Runners that somebody else starts, over TCP: one port per slot, and hosts that were allowed."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrq_orchestrator.runners import LostCause
from rrq_protocol import Hello, RunnerConnection
from support.runner_pools import bench, fake_command, neighbouring_ports

pytestmark = pytest.mark.anyio


def fake_runner(port: int) -> contextlib.AbstractContextManager["subprocess.Popen[bytes]"]:
    """Start a runner at a port, as somebody else would."""
    return started({"RRQ_RUNNER_TCP_SOCKET": f"127.0.0.1:{port}"})


@contextlib.contextmanager
def started(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a runner where the environment says."""
    with subprocess.Popen(fake_command(), env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_each_slot_has_its_port() -> None:
    """From the configured one upwards; a runner that goes takes its own slot with it, and nobody else's."""
    port = neighbouring_ports()
    config = {"mode": "external", "tcp_port": port, "pool_size": 2, "cmd": None, "max_in_flight": 4}
    async with bench(config) as pool:
        assert not pool.events("runner.unencrypted")
        with fake_runner(port) as first, fake_runner(port + 1):
            await pool.recorder.until(lambda: pool.runner.capacity == 8)
            for number in range(8):
                pool.submit(f"first{number}")
            await pool.recorder.until(lambda: len(pool.recorder.outcomes) == 8)
            for number in range(2):
                pool.submit(f"held{number}", "hold")
            first.kill()
            await pool.recorder.until(lambda: pool.recorder.losses)
            ((lost, (cause, _)),) = pool.recorder.losses.items()
            assert cause is LostCause.CRASHED
            await pool.recorder.until(lambda: pool.runner.capacity == 4)
            assert await pool.result("r", x=1) == {"x": 1}
            (left,) = {"held0", "held1"} - {lost}
            pool.runner.cancel(left, f"job-{left}")
            await pool.recorder.until(lambda: left in pool.recorder.outcomes)
        assert pool.runner.pids() == []


async def test_each_slot_has_its_socket(tmp_path: Path) -> None:
    """In `socket_dir`, named by runner and slot, as docs/operations.md says."""
    config = {"mode": "external", "socket_dir": str(tmp_path), "pool_size": 2, "cmd": None}
    async with bench(config) as pool:
        places = [{"RRQ_RUNNER_SOCKET": str(tmp_path / f"fake-{slot}.sock")} for slot in range(2)]
        with started(places[0]), started(places[1]):
            await pool.recorder.until(lambda: pool.runner.capacity == 16)
            assert await pool.result("r", x=1) == {"x": 1}


async def test_asked_for_new_processes_it_says_whose_they_are(tmp_path: Path) -> None:
    """Nothing is replaced, and nobody waits for it (SIGHUP)."""
    config = {"mode": "external", "socket_dir": str(tmp_path), "cmd": None}
    async with bench(config) as pool:
        with started({"RRQ_RUNNER_SOCKET": str(tmp_path / "fake-0.sock")}):
            await pool.recorder.until(lambda: pool.runner.capacity == 8)
            pool.runner.recycle()
            (event,) = pool.events("runner.not_recycled")
            assert "external" in event["reason"]
            assert await pool.result("r", x=1) == {"x": 1}
            assert pool.events("runner.recycled") == []


async def test_another_host_is_reached_if_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, which may be of any machine (S5)."""
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "runner.internal":
            asked.append(host)
            host = "127.0.0.1"
        return resolve(host, *arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    port = neighbouring_ports()
    address = {"tcp_socket": f"runner.internal:{port}", "allowed_hosts": ("runner.internal",)}
    async with bench({"mode": "external", "cmd": None, "max_in_flight": 4, **address}) as pool:
        with fake_runner(port):
            await pool.recorder.until(lambda: pool.runner.capacity == 4)
            assert await pool.result("r", x=1) == {"x": 1}
        (warning,) = pool.events("runner.unencrypted")
        assert (warning["runner"], warning["host"]) == ("fake", "runner.internal")
        assert "tunnel" in warning["hint"]
    assert asked


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_stranger_at_the_port_is_a_failed_start(said: bytes) -> None:
    """Who breaks the connection before one valid message may be no runner: what it got is given back, nobody
    is charged, and the circuit opens (F16, F62, F80). From then on it gets one request at a time; the first
    valid message ends that.
    """

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            writer.write(said)
        writer.close()

    port = neighbouring_ports()
    config = {"mode": "external", "tcp_port": port, "cmd": None, "max_in_flight": 4}
    async with bench(config) as pool:
        runner, recorder = pool.runner, pool.recorder
        stranger = await asyncio.start_server(hang_up, "127.0.0.1", port)
        for attempt in range(3):
            await recorder.until(lambda: runner.free == 4)
            pool.submit(f"a{attempt}")
            pool.submit(f"b{attempt}")
            cause, _ = await pool.loss(f"a{attempt}")
            assert cause is LostCause.UNPROVEN
        await recorder.until(lambda: runner.state == "broken" and runner.free == 1)
        pool.submit("trial")
        assert (await pool.loss("trial"))[0] is LostCause.UNPROVEN
        assert "without one valid message" in (runner.history.last_error or "")
        assert [entry["after"] for entry in pool.events("runner.state")][-1] == "broken"
        stranger.close()
        with fake_runner(port):
            await recorder.until(lambda: runner.free == 1)
            assert runner.state == "broken"
            assert await pool.result("r", x=1) == {"x": 1}
            await recorder.until(lambda: runner.state == "ready" and runner.free == 4)


async def test_an_echo_at_the_port_is_a_failed_start() -> None:
    """A service that repeats what it hears names our requests, and is no runner for that: all it got is given
    back, and the circuit opens with a message.
    """

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    port = neighbouring_ports()
    config = {"mode": "external", "tcp_port": port, "cmd": None, "max_in_flight": 4}
    async with bench(config) as pool:
        runner, recorder = pool.runner, pool.recorder
        stranger = await asyncio.start_server(echo, "127.0.0.1", port)
        for attempt in range(3):
            await recorder.until(lambda: runner.free == 4)
            for name in "abc":
                pool.submit(f"{name}{attempt}")
            assert {(await pool.loss(f"{name}{attempt}"))[0] for name in "abc"} == {LostCause.UNPROVEN}
        await recorder.until(lambda: runner.state == "broken" and runner.free == 1)
        pool.submit("trial")
        assert (await pool.loss("trial"))[0] is LostCause.UNPROVEN
        assert (runner.history.last_error or "").startswith("sends back what it is sent without one valid")
        stranger.close()
        with fake_runner(port):
            await recorder.until(lambda: runner.free == 1)
            assert await pool.result("r", x=1) == {"x": 1}
            await recorder.until(lambda: runner.state == "ready" and runner.free == 4)


async def test_a_runner_that_spoke_before_it_broke_has_crashed() -> None:
    """One valid message shows that it is a runner; what it takes down with it is charged."""
    port = neighbouring_ports()
    config = {"mode": "external", "tcp_port": port, "cmd": None, "max_in_flight": 4}
    async with bench(config) as pool:
        with fake_runner(port) as runner:
            await pool.recorder.until(lambda: pool.runner.capacity == 4)
            assert await pool.result("r", x=1) == {"x": 1}
            pool.submit("held", "hold")
            runner.kill()
            assert (await pool.loss("held"))[0] is LostCause.CRASHED


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection at the first bytes that come."""
    await reader.read(1)
    writer.close()


async def test_who_takes_the_place_of_a_runner_is_taken_for_it_twice() -> None:
    """A runner that is restarted and dies before it answers has crashed. A stranger in its place does the
    same: he is found out before his doing alone makes a dead letter.
    """
    port = neighbouring_ports()
    config = {"mode": "external", "tcp_port": port, "cmd": None, "max_in_flight": 4}
    async with bench(config) as pool:
        runner, recorder = pool.runner, pool.recorder
        with fake_runner(port) as process:
            await recorder.until(lambda: runner.free == 4)
            assert await pool.result("r", x=1) == {"x": 1}
            process.kill()
            process.wait()
            await recorder.until(lambda: runner.free == 0)
        stranger = await asyncio.start_server(hang_up, "127.0.0.1", port)
        causes = []
        for attempt in range(4):
            await recorder.until(lambda: runner.free > 0)
            pool.submit(f"a{attempt}")
            causes.append((await pool.loss(f"a{attempt}"))[0])
        assert causes == [LostCause.CRASHED] * 2 + [LostCause.UNPROVEN] * 2
        stranger.close()


async def test_an_introduction_is_proof_enough() -> None:
    """An external runner that says hello need not have answered: what it takes down with it is charged."""

    async def introduce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(RunnerConnection("length").hello(Hello("fake", "1")))
        await hang_up(reader, writer)

    port = neighbouring_ports()
    async with bench({"mode": "external", "tcp_port": port, "cmd": None, "max_in_flight": 4}) as pool:
        server = await asyncio.start_server(introduce, "127.0.0.1", port)
        for attempt in range(4):
            await pool.recorder.until(lambda: pool.runner.free == 4)
            pool.submit(f"a{attempt}")
            assert (await pool.loss(f"a{attempt}"))[0] is LostCause.CRASHED
        server.close()
