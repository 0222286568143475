"""A slot of a pool keeps a process up, says once why it cannot, and gives none of them a chance to stay."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners import NoCapacity
from rrq_orchestrator.runners.peer import Peer
from support.runner_pools import Bench, bench, fake_command, is_gone

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def broken(pool: Bench) -> str:
    """Wait until the pool gives up hope, and return the one error it logged."""
    await pool.recorder.until(lambda: pool.runner.state == "broken")
    assert pool.runner.free == pool.runner.capacity == 0
    with pytest.raises(NoCapacity):
        pool.submit("r1")
    errors = [entry for entry in pool.events("runner.start_failed") if entry["log_level"] == "error"]
    assert len(errors) == 1, errors
    states = [(entry["before"], entry["after"]) for entry in pool.events("runner.state")]
    assert states == [("starting", "broken")]
    return str(errors[0]["detail"])


@pytest.mark.parametrize(
    ("cmd", "said"),
    [
        (("no-such-program-anywhere",), "command not found: 'no-such-program-anywhere'"),
        ((os.path.join(os.curdir, "missing.py"),), "command not found"),  # noqa: PTH118
        (fake_command("exit0"), "exited with code 0 before it listened"),
        (fake_command("raise"), "exited with code 1 before it listened"),
    ],
)
async def test_a_runner_that_does_not_start_breaks_the_circuit(cmd: tuple[str, ...], said: str) -> None:
    """Starts that fail open the circuit: no capacity, one error that says why, one change of state; they are
    tried again after growing pauses (F16).
    """
    async with bench({"cmd": cmd}) as pool:
        assert said in await broken(pool)
        tries = pool.events("runner.start_failed")
        assert [each["failures"] for each in tries] == [1, 2, 3]
        pauses = [each["retry_s"] for each in tries]
        assert pauses == sorted(set(pauses))


async def test_a_runner_that_comes_up_and_ends_breaks_the_circuit_too() -> None:
    """A runner that ends as soon as it is up is soon given no work any more, and the circuit opens once."""
    async with bench({"cmd": fake_command("hangs-up")}) as pool:
        await pool.recorder.until(lambda: pool.runner.state == "broken")
        errors = [entry for entry in pool.events("runner.start_failed") if entry["log_level"] == "error"]
        assert [entry["detail"] for entry in errors] == ["exited with code 0 as soon as it was up"]
        assert [entry["after"] for entry in pool.events("runner.state")] == ["ready", "starting", "broken"]


async def test_the_last_words_of_a_failed_start_are_logged() -> None:
    """What a runner printed before it ended is in the error, so that nobody has to search for it."""
    async with bench({"cmd": fake_command("raise")}) as pool:
        await broken(pool)
        (error, *_) = pool.events("runner.start_failed")
        assert error["output"][-1] == "ModuleNotFoundError: No module named 'nowhere'"
        # Relayed in full once, quietly when it comes again and again.
        levels = {entry["log_level"] for entry in pool.events("runner.output")}
        assert levels == {"info", "debug"}


async def test_a_stdio_runner_that_ends_at_once_counts_as_a_failed_start() -> None:
    """Without a socket to listen on, a runner is taken as up only if it lives for a moment."""
    # A shell, because it ends at once however busy the machine is.
    async with bench({"cmd": ("sh", "-c", "exit 0"), "type": "stdio"}) as pool:
        assert "exited with code 0" in await broken(pool)


async def test_a_runner_that_never_listens_is_ended_at_the_timeout() -> None:
    """The connect timeout ends the process group; nothing of it is left, and another one is tried (F17)."""
    async with bench({"cmd": fake_command("never-listens")}, runner_connect_timeout_ms=100) as pool:
        pids: set[int] = set()

        def seen_broken() -> bool:
            pids.update(pool.runner.pids())
            return pool.runner.state == "broken"

        await pool.recorder.until(seen_broken)
        (error, *_) = pool.events("runner.start_failed")
        assert error["detail"] == "did not listen within 0.1 s (`runner_connect_timeout_ms`)"
        assert pids
        await pool.recorder.until(lambda: len(pool.events("runner.start_failed")) > 1)
        await pool.recorder.until(lambda: all(map(is_gone, pids - set(pool.runner.pids()))))


async def test_a_port_in_use_is_named() -> None:
    """A fixed port that another program holds is a failed start with its address; nothing is started
    (F80)."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        async with bench({"tcp_port": port}) as pool:
            detail = await broken(pool)
            assert f"127.0.0.1:{port} cannot be used" in detail
            assert pool.runner.pids() == []


async def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    """A `cwd` that does not exist is said so, not taken for a missing command."""
    async with bench({"cwd": str(tmp_path / "gone")}) as pool:
        assert "`cwd`" in await broken(pool)


async def test_a_shared_socket_folder_is_refused(tmp_path: Path) -> None:
    """A socket folder that others may enter is refused with its mode (S15)."""
    tmp_path.chmod(0o755)
    async with bench({"socket_dir": str(tmp_path)}) as pool:
        assert "mode 755" in await broken(pool)


async def test_the_circuit_closes_again(tmp_path: Path) -> None:
    """A runner that becomes startable is started, and the change of state is logged."""
    program = tmp_path / "runner"
    async with bench({"cmd": (str(program),)}) as pool:
        await broken(pool)
        program.write_text(f'#!/bin/sh\nexec {" ".join(fake_command())} "$@"\n')
        program.chmod(0o700)
        await pool.ready()
        assert await pool.result("r1", x=1) == {"x": 1}
        states = [entry["after"] for entry in pool.events("runner.state")]
        assert states == ["broken", "ready"]


@contextlib.contextmanager
def squatted_port() -> Iterator[int]:
    """Serve a port that somebody listens on, and whose predecessor is free."""
    while True:
        with socket.socket() as free, socket.socket() as squatter:
            free.bind(("127.0.0.1", 0))
            try:
                squatter.bind(("127.0.0.1", free.getsockname()[1] + 1))
            except OSError:
                continue
            squatter.listen()
            free.close()
            yield squatter.getsockname()[1]
            return


async def test_one_healthy_slot_keeps_the_pool_ready(tmp_path: Path) -> None:
    """A slot that cannot start does not take the others with it."""
    with squatted_port() as taken:
        port = taken - 1
        async with bench({"tcp_port": port, "pool_size": 2}) as pool:
            await pool.recorder.until(lambda: len(pool.events("runner.start_failed")) >= 4)
            assert pool.runner.state == "ready"
            assert await pool.result("r1", x=1) == {"x": 1}


async def test_old_processes_are_recycled_by_age() -> None:
    """A process beyond `max_age` is replaced without losing work."""
    async with bench({"max_age": 0.2}) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("held", "hold")
        await pool.recorder.until(lambda: pool.events("runner.recycled"))
        await pool.recorder.until(lambda: pool.runner.pids() not in ([], [old]) and pool.runner.free == 8)
        pool.runner.cancel("held", "job-held")
        await pool.recorder.until(lambda: "held" in pool.recorder.outcomes and is_gone(old))
        assert pool.recorder.losses == {}


async def test_large_processes_are_recycled_by_resident_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process beyond `max_rss` is replaced."""
    monkeypatch.setattr("rrq_orchestrator.runners.supervisor._RECYCLE_CHECK_S", 0.05)
    async with bench({"max_rss": 64 * MIB}) as pool:
        await pool.ready()
        await pool.result("r1", "grow", bytes=80 * MIB)
        await pool.recorder.until(lambda: len(pool.events("runner.recycled")) >= 1)
        assert pool.events("runner.recycled")[0]["reason"].startswith("max_rss: ")
        assert pool.events("runner.max_rss_too_low") == []


async def test_a_process_that_is_large_from_the_start_is_not_replaced_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `max_rss` below its first size it is told of once, works on, and goes when it has doubled."""
    monkeypatch.setattr("rrq_orchestrator.runners.supervisor._RECYCLE_CHECK_S", 0.02)
    looks: list[int] = []
    measure = Peer.resident_bytes

    def look(peer: Peer) -> int | None:
        looks.append(peer.slot)
        return measure(peer)

    monkeypatch.setattr(Peer, "resident_bytes", look)
    async with bench({"max_rss": 1024, "pool_size": 2}) as pool:
        await pool.ready(2)
        pids = set(pool.runner.pids())
        for number in range(4):
            assert await pool.result(f"r{number}", x=1) == {"x": 1}
        seen = len(looks)
        await pool.recorder.until(lambda: len(looks) > seen + 10)
        assert set(pool.runner.pids()) == pids
        (event,) = pool.events("runner.max_rss_too_low")
        assert (event["log_level"], event["limit"]) == ("warning", 1024)
        assert event["measured"] > 1024
        assert "raise `max_rss`" in event["advice"]
        assert pool.events("runner.recycled") == []
        await pool.result("large", "grow", bytes=3 * event["measured"])
        await pool.recorder.until(lambda: pool.events("runner.recycled"))
        assert pool.events("runner.recycled")[0]["reason"].startswith("max_rss: ")


async def test_poison_only_delays_by_a_short_backoff() -> None:
    """Processes that crash in their work come back soon each time, and the circuit stays closed (F14)."""
    async with bench() as pool:
        for number in range(4):
            await pool.recorder.until(lambda: pool.runner.free == 8)
            pool.submit(f"poison{number}", "exit", code=1)
            await pool.loss(f"poison{number}")
        await pool.recorder.until(lambda: pool.runner.free == 8)
        assert "broken" not in {entry["after"] for entry in pool.events("runner.state")}


async def test_the_environment_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner sees neither the DSN nor what nobody named, in its environment or arguments (S8, S16)."""
    monkeypatch.setenv("RRQ_REDIS_DSN", "redis://:canary@localhost")
    monkeypatch.setenv("CLOUD_SECRET", "canary")
    monkeypatch.setenv("CHOSEN", "yes")
    config = {"env": {"OWN": "1"}, "env_passthrough": ("CHOSEN", "RRQ_*")}
    async with bench(config, redis_dsn="redis://:canary@localhost") as pool:
        await pool.ready()
        facts = await pool.result("r1", "environment")
        assert "canary" not in str(facts)
        assert facts["env"]["OWN"] == "1"
        assert facts["env"]["CHOSEN"] == "yes"
        assert facts["argv"][2:] == ["--unix-socket", facts["env"]["RRQ_RUNNER_SOCKET"]]
        assert facts["session"] == facts["pid"] != os.getsid(0)
        assert sys.executable


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    """Return a folder with handlers for our own runner."""
    (tmp_path / "good.py").write_text(
        "from rrq_runner import Registry, RunnerSettings\n"
        "registry = Registry()\n"
        "@registry.handler('double')\n"
        "async def double(x: int) -> int:\n"
        "    return 2 * x\n"
        "settings = RunnerSettings(registry=registry)\n"
    )
    (tmp_path / "bad.py").write_text("raise RuntimeError('the database is missing')\n")
    return tmp_path


@pytest.mark.parametrize("transport", [{}, {"tcp_port": 0}, {"type": "stdio"}])
async def test_our_own_runner_serves(apps: Path, transport: dict[str, object]) -> None:
    """An `app` is served over every transport, and stops when asked to, without being killed."""
    config = {"cmd": None, "app": "good:settings", "cwd": str(apps), "max_in_flight": 3, **transport}
    async with bench(config, runner_shutdown_term_grace_seconds=20) as pool:
        await pool.ready()
        assert pool.runner.capacity == 3
        assert [await pool.result(f"r{number}", "double", x=number) for number in range(5)] == [0, 2, 4, 6, 8]
        with anyio.fail_after(10):
            await pool.runner.stop()


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("bad:settings", "the database is missing"),
        ("missing:settings", "missing"),
        ("good:nothing", "nothing"),
    ],
)
async def test_handlers_that_cannot_be_loaded_are_explained(apps: Path, app: str, said: str) -> None:
    """An `app` that does not load opens the circuit, and the error says what is wrong with it."""
    async with bench({"cmd": None, "app": app, "cwd": str(apps)}) as pool:
        assert "exited with code" in await broken(pool)
        (error, *_) = pool.events("runner.start_failed")
        assert said in "\n".join(error["output"])
