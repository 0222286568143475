"""A runner as a process: signals, exit codes, stdio, the life with and without a parent."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from rrq_protocol import ErrorType
from support.processes import wait_until_gone
from support.runners import RunnerProcess, connected, result_of, started

pytestmark = pytest.mark.anyio

APP = """
import asyncio, os, subprocess, sys, threading
from rrq_runner import Context, Registry, RunnerSettings, run

registry = Registry()

@registry.handler
async def echo(value: int = 0) -> int:
    return value

@registry.handler
async def sleep(seconds: float = 60) -> str:
    print("sleeping", file=sys.stderr, flush=True)
    await asyncio.sleep(seconds)
    return "slept"

@registry.handler
def hold() -> None:
    print("holding", file=sys.stderr, flush=True)
    threading.Event().wait(60)

@registry.handler
def start_family() -> list[int]:
    children = [subprocess.Popen(["sleep", "600"], start_new_session=own) for own in (False, True)]
    return [child.pid for child in children]

@registry.handler
async def leave() -> None:
    raise SystemExit(5)

@registry.handler
async def interrupt_loop(how: str) -> str:
    def leave():
        raise SystemExit(9)
    async def fail():
        raise KeyboardInterrupt
    loop = asyncio.get_running_loop()
    task = {
        "callback": lambda: loop.call_soon(leave),
        "task": lambda: loop.create_task(fail()),
        "stop": loop.stop,
    }[how]()
    await asyncio.sleep(0.01)
    return "went on"

@registry.handler
def fork_and_return() -> object:
    if (child := os.fork()) == 0:
        print("in the child", file=sys.stderr)
        return "from the child"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

@registry.handler
async def fork_and_exit() -> object:
    if (child := os.fork()) == 0:
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

@registry.handler
def close_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()

@registry.handler
async def shout() -> object:
    print("to stdout")
    os.write(1, b"to the descriptor\\n")
    subprocess.run(["echo", "from a child"], check=True)
    return [sys.stdin.read(), sorted(each for each in os.environ if each.startswith("RRQ_"))]

settings = RunnerSettings(
    registry=registry,
    shutdown_grace_seconds=float(os.environ.get("GRACE", "10")),
    on_shutdown=lambda: print("hook: shut down", file=sys.stderr, flush=True),
)
if __name__ == "__main__":
    run(settings)
"""

REQUEST = {
    "type": "request",
    "payload": {
        "request_id": "r",
        "job_id": "j",
        "function_name": "shout",
        "params": {},
        "context": {"job_id": "j", "attempt": 1, "enqueue_time": "2026-01-31T12:00:00Z", "queue_name": "q"},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the program ``app.py``."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def served(folder: Path, *, grace: float = 10, **env: str) -> AbstractAsyncContextManager[RunnerProcess]:
    """Start a runner of ``app.py`` on a Unix socket."""
    return started(
        "--settings",
        "app:settings",
        "--unix-socket",
        str(folder / "run" / "s"),
        cwd=folder,
        env={"GRACE": str(grace), **env},
    )


async def test_sigterm_lets_requests_end_and_exits_with_0(folder: Path) -> None:
    """The answer arrives, the shutdown hook runs, the socket file is gone."""
    async with served(folder) as runner:
        address = await runner.listening()
        async with connected(address) as peer:
            peer.send("sleep", {"seconds": 0.3})
            await runner.said("sleeping")
            runner.process.send_signal(signal.SIGTERM)
            assert result_of(await peer.outcome()) == "slept"
        assert await runner.ended() == 0
        await runner.said("hook: shut down")
        assert not Path(address).exists()


async def test_a_second_sigterm_does_not_wait(folder: Path) -> None:
    """Handlers are cancelled and given back at once; that is still a clean end."""
    async with served(folder, grace=3600) as runner, connected(await runner.listening()) as peer:
        peer.send("sleep")
        await runner.said("sleeping")
        runner.process.send_signal(signal.SIGTERM)
        await runner.said("runner.draining")
        runner.process.send_signal(signal.SIGTERM)
        outcome = await peer.outcome()
        assert outcome.error is not None
        assert outcome.error.type == ErrorType.BUSY
        assert await runner.ended() == 0


async def test_a_held_thread_does_not_hold_the_process(folder: Path) -> None:
    """Its request is given back, and the exit code says that something was abandoned."""
    async with served(folder, grace=0) as runner, connected(await runner.listening()) as peer:
        peer.send("hold")
        await runner.said("holding")
        runner.process.send_signal(signal.SIGTERM)
        outcome = await peer.outcome()
        assert outcome.error is not None
        assert outcome.error.type == ErrorType.BUSY
        assert await runner.ended() == 3


async def test_ctrl_c_stops_a_runner_started_by_hand(folder: Path) -> None:
    """Without a parent that manages it, SIGINT means the same as SIGTERM, without a traceback."""
    async with served(folder) as runner:
        await runner.listening()
        runner.process.send_signal(signal.SIGINT)
        assert await runner.ended() == 0
        assert "Traceback" not in runner.stderr


async def test_ctrl_c_is_left_to_the_orchestrator(folder: Path) -> None:
    """A managed runner goes on: the terminal sends SIGINT to the whole group."""
    async with served(folder, RRQ_RUNNER_PARENT_PID=str(os.getpid())) as runner:
        async with connected(await runner.listening()) as peer:
            runner.process.send_signal(signal.SIGINT)
            assert result_of(await peer.call("echo", {"value": 5})) == 5
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


async def test_the_end_of_the_control_pipe_ends_the_runner(folder: Path) -> None:
    """Handlers are cancelled, hooks run, and the process is gone long before its handler would be; what
    handlers had started is gone too (F21, F22)."""
    reading, writing = os.pipe()
    async with started(
        "--settings",
        "app:settings",
        "--unix-socket",
        str(folder / "s"),
        cwd=folder,
        env={"RRQ_RUNNER_CONTROL_FD": str(reading)},
        pass_fds=(reading,),
    ) as runner:
        os.close(reading)
        async with connected(await runner.listening()) as peer:
            family = result_of(await peer.call("start_family"))
            peer.send("sleep")
            await runner.said("sleeping")
            os.close(writing)
            assert await runner.ended() == 0
            await runner.said("hook: shut down")
            if sys.platform == "linux":
                await asyncio.to_thread(wait_until_gone, family)


async def test_a_handler_cannot_end_the_runner_by_raising(folder: Path) -> None:
    """SystemExit is a failure of the job; the process serves the next request (F76)."""
    async with served(folder) as runner, connected(await runner.listening()) as peer:
        outcome = await peer.call("leave")
        assert outcome.error is not None
        assert outcome.error.type == "SystemExit"
        assert result_of(await peer.call("echo", {"value": 1})) == 1


@pytest.mark.parametrize("how", ["callback", "task", "stop"])
async def test_a_handler_cannot_end_the_loop(folder: Path, how: str) -> None:
    """What its tasks and callbacks raise, and a loop that it stops, end neither the handler nor others that
    run (F76)."""
    async with served(folder) as runner, connected(await runner.listening()) as peer:
        other = peer.send("sleep", {"seconds": 0.3})
        await runner.said("sleeping")
        assert result_of(await peer.call("interrupt_loop", {"how": how})) == "went on"
        outcome = await peer.outcome()
        assert (outcome.request_id, result_of(outcome)) == (other.request_id, "slept")
        await runner.said("runner.loop_interrupted error=")
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


async def test_a_forked_child_that_comes_back_is_not_the_runner(folder: Path) -> None:
    """It ends where the handler does: one answer, by the parent, and nobody else on the connection."""
    async with served(folder) as runner, connected(await runner.listening()) as peer:
        for _ in range(2):
            assert result_of(await peer.call("fork_and_return")) == 0
            assert result_of(await peer.call("fork_and_exit")) == 7
        await runner.said("in the child")
        assert result_of(await peer.call("echo", {"value": 6})) == 6
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


async def test_closed_streams_do_not_matter(folder: Path) -> None:
    """A handler that closes stdout and stderr takes the log along, and nothing else."""
    async with served(folder) as runner, connected(await runner.listening()) as peer:
        await peer.call("close_streams")
        assert result_of(await peer.call("echo", {"value": 7})) == 7
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


async def test_tcp_and_the_environment(folder: Path) -> None:
    """An orchestrator names the port in a variable."""
    async with (
        started(
            cwd=folder, env={"RRQ_RUNNER_TCP_SOCKET": "127.0.0.1:0", "RRQ_RUNNER_SETTINGS": "app.settings"}
        ) as runner,
        connected(await runner.listening()) as peer,
    ):
        assert result_of(await peer.call("echo", {"value": 2})) == 2


async def test_stdio_carries_messages_only(folder: Path) -> None:
    """Whatever prints, by whatever way, goes to stderr.

    Stdin is empty; the end of the input ends the runner.
    """
    async with started(
        "--settings",
        "app:settings",
        "--stdio",
        cwd=folder,
        env={"RRQ_RUNNER_EXTENSIONS": "hello"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    ) as runner:
        assert runner.process.stdin is not None
        assert runner.process.stdout is not None
        runner.process.stdin.write(b"\n" + json.dumps(REQUEST).encode() + b"\n")
        runner.process.stdin.close()
        output = await asyncio.wait_for(runner.process.stdout.read(), 20)
        hello, response = [json.loads(line) for line in output.splitlines()]
        assert hello["type"] == "hello"
        assert response["payload"]["result"] == ["", []]
        assert await runner.ended() == 0
        for line in ("to stdout", "to the descriptor", "from a child"):
            await runner.said(line)


async def test_a_program_of_ones_own(folder: Path) -> None:
    """``run(settings)`` reads the address from the program's own arguments."""
    async with started("--unix-socket", str(folder / "s"), program=("app.py",), cwd=folder) as runner:
        async with connected(await runner.listening()) as peer:
            assert result_of(await peer.call("echo", {"value": 3})) == 3
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


async def _fails(runner: RunnerProcess) -> tuple[int, str]:
    code = await runner.ended()
    await runner.said("rrq-runner: ")
    assert "Traceback" not in runner.stderr
    return code, runner.stderr


async def test_a_program_without_an_address_says_so(folder: Path) -> None:
    """One line, the code for wrong usage."""
    async with started(program=("app.py",), cwd=folder) as runner:
        code, text = await _fails(runner)
    assert (code, text.count("\n")) == (2, 0)
    assert "no address: give --unix-socket PATH" in text


async def test_an_address_in_use_is_one_line(folder: Path) -> None:
    """The second runner on a path ends with 1; the first goes on."""
    async with served(folder) as first:
        address = await first.listening()
        async with served(folder) as second:
            code, text = await _fails(second)
        assert code == 1
        assert "is in use: another runner listens there" in text
        async with connected(address) as peer:
            assert result_of(await peer.call("echo", {"value": 4})) == 4


async def test_a_failing_startup_hook_is_one_line(folder: Path) -> None:
    """The hook, the exception and the place are named, without a traceback."""
    (folder / "bad.py").write_text(
        "from rrq_runner import Registry, RunnerSettings\n"
        "def start(): raise ConnectionError('no database')\n"
        "settings = RunnerSettings(registry=Registry(), on_startup=start)\n"
    )
    async with started(
        "--settings", "bad:settings", "--unix-socket", str(folder / "s"), cwd=folder
    ) as runner:
        code, text = await _fails(runner)
    assert code == 1
    assert f"on_startup failed: ConnectionError: no database ({folder}/bad.py:2)" in text


async def test_sigterm_while_importing_ends_with_0(folder: Path) -> None:
    """There is nothing to finish yet (F18)."""
    (folder / "slow.py").write_text(
        "import sys, threading\nprint('importing', file=sys.stderr, flush=True)\nthreading.Event().wait(60)\n"
    )
    async with started("--settings", "slow:x", "--unix-socket", str(folder / "s"), cwd=folder) as runner:
        await runner.said("importing")
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0


@pytest.mark.parametrize("name", ["otell", "otel"])
async def test_telemetry_that_cannot_be_had_is_one_line(folder: Path, name: str) -> None:
    """A name that is none, a variable that means no exporter of ours: 78, before anything is listened on."""
    async with served(folder, RRQ_TELEMETRY=name, OTEL_TRACES_EXPORTER="zipkin") as runner:
        code, text = await _fails(runner)
    assert (code, text.count("\n")) == (78, 0)
    assert ("expected off, otel" if name == "otell" else "OTEL_TRACES_EXPORTER: expected otlp") in text
