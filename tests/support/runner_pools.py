"""Run pools of fake runners in a test, and see what they report."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import structlog
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from rrq_orchestrator.runners import LostCause, Runner
    from rrq_orchestrator.runners.isolation import Places
    from rrq_protocol import WireOutcome, WireRequest

__all__ = [
    "PATIENCE_S",
    "Bench",
    "Recorder",
    "bench",
    "capturing_log",
    "fake_command",
    "is_gone",
    "make_request",
    "neighbouring_ports",
    "place",
]

PATIENCE_S = 20.0
"""Nothing here takes so long; a test that waits longer has failed."""


def fake_command(how: str = "serve", *arguments: str) -> tuple[str, ...]:
    """Return the command of a fake runner (support/fake_runner.py)."""
    return (sys.executable, "-S", str(Path(__file__).with_name("fake_runner.py")), how, *arguments)


def make_request(request_id: str, function: str = "echo", **params: Any) -> "WireRequest":
    """Return a request of job ``job-<request_id>``."""
    from rrq_protocol import WireContext, WireRequest

    job_id = f"job-{request_id}"
    context = WireContext(job_id=job_id, attempt=1, enqueue_time="2026-01-01T00:00:00Z", queue_name="default")
    return WireRequest(
        request_id=request_id,
        job_id=job_id,
        function_name=function,
        params=msgspec.Raw(msgspec.json.encode(params)),
        context=context,
    )


def capturing_log() -> tuple[Any, LogCapture]:
    """Return a logger of every level, and what it logged."""
    capture = LogCapture()
    wrapper = structlog.make_filtering_bound_logger(0)
    return structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper), capture


def neighbouring_ports() -> int:
    """Return a free port whose successor is free, too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port


def is_gone(pid: int) -> bool:
    """Return whether no process of that id exists, or a dead one only that is not ours to reap."""
    try:
        os.kill(pid, 0)
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z" and int(parent) != os.getpid()


class Recorder:
    """A listener that keeps everything, and lets a test wait for it."""

    def __init__(self) -> None:
        self.outcomes: dict[str, WireOutcome] = {}
        self.losses: dict[str, tuple[LostCause, str]] = {}
        self._changed = asyncio.Event()

    def outcome(self, runner: str, outcome: "WireOutcome") -> None:
        """Keep an outcome; a second one for the same request is a failure."""
        assert outcome.request_id is not None
        self._once(outcome.request_id)
        self.outcomes[outcome.request_id] = outcome
        self.touch()

    def lost(self, runner: str, request_ids: Sequence[str], cause: "LostCause", detail: str) -> None:
        """Keep losses."""
        for request_id in request_ids:
            self._once(request_id)
            self.losses[request_id] = (cause, detail)
        self.touch()

    def capacity_changed(self, runner: str) -> None:
        """Look again."""
        self.touch()

    def touch(self) -> None:
        """Let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def result(self, request_id: str) -> Any:
        """Return the decoded result of a request that succeeded."""
        outcome = self.outcomes[request_id]
        assert outcome.status == "success", outcome
        return msgspec.json.decode(outcome.result)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds. It is looked at after every callback, and now and then besides."""
        with anyio.fail_after(PATIENCE_S):
            while not condition():
                with anyio.move_on_after(0.02):
                    await self._changed.wait()

    def _once(self, request_id: str) -> None:
        assert request_id not in self.outcomes, request_id
        assert request_id not in self.losses, request_id


class Bench:
    """One pool under test."""

    def __init__(self, runner: "Runner", recorder: Recorder, logs: LogCapture) -> None:
        self.runner, self.recorder, self.logs = runner, recorder, logs

    def submit(self, request_id: str, function: str = "echo", **params: Any) -> None:
        """Submit a request."""
        self.runner.submit(make_request(request_id, function, **params))

    async def ready(self, processes: int = 1) -> None:
        """Wait until so many processes are up, and no other."""
        await self.recorder.until(
            lambda: self.runner.state == "ready" and len(self.runner.pids()) == processes
        )

    async def result(self, request_id: str, function: str = "echo", **params: Any) -> Any:
        """Submit a request and return its result."""
        self.submit(request_id, function, **params)
        await self.recorder.until(lambda: request_id in self.recorder.outcomes)
        return self.recorder.result(request_id)

    async def loss(self, request_id: str) -> "tuple[LostCause, str]":
        """Wait until a request is lost; return why."""
        await self.recorder.until(lambda: request_id in self.recorder.losses)
        return self.recorder.losses[request_id]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log events of a name."""
        return [dict(entry) for entry in self.logs.entries if entry["event"] == name]


@asynccontextmanager
async def bench(config: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Bench]:
    """Run a pool named "fake" of one process, unless ``config`` says otherwise; end it and check that
    nothing is left.

    Args:
        config: Keys of the runner's settings.
        settings: Keys of the orchestrator's.
    """
    from rrq_orchestrator.runners.factory import make_runners
    from rrq_protocol import RunnerConfig, Settings

    runner_config = RunnerConfig(
        **{"cmd": fake_command(), "pool_size": 1, "max_in_flight": 8, **(config or {})}
    )
    recorder = Recorder()
    log, logs = capturing_log()
    defaults = {"runner_shutdown_term_grace_seconds": 0.5, "worker_shutdown_grace_period_seconds": 0.5}
    given = Settings(runners={"fake": runner_config}, **{**defaults, **settings})
    runner = make_runners(given, recorder, log=log, random=random.Random(1))["fake"]
    seen: set[int] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        try:
            yield Bench(runner, recorder, logs)
        finally:
            seen.update(runner.pids())
            tasks.cancel_scope.cancel()
    assert runner.pids() == []
    assert runner.free == 0
    assert all(is_gone(pid) for pid in seen), seen


@asynccontextmanager
async def place(linger_s: float = 60.0, **config: Any) -> "AsyncIterator[tuple[Bench, Places]]":
    """Run a pool with a single place for suspects, and bring that up.

    Args:
        linger_s: How long it stays without use.
        config: Keys of the runner's settings.
    """
    from rrq_orchestrator.runners.isolation import IsolatingRunner, Places

    async with bench({"suspect_processes": 1, **config}) as pool:
        await pool.ready()
        assert isinstance(pool.runner, IsolatingRunner)
        isolation = pool.runner.isolation
        assert isinstance(isolation, Places)
        isolation.places[0].linger_s = linger_s
        assert isolation.free == 0
        assert isolation.open(1)
        await pool.recorder.until(lambda: isolation.free == 1)
        yield pool, isolation
