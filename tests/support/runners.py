"""Real runner processes, and a peer that speaks to them as an orchestrator does."""

import asyncio
import itertools
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from rrq_protocol import (
    ExecutionContext,
    ExecutionRequest,
    HelloReceived,
    OrchestratorConnection,
    OutcomeReceived,
    WireOutcome,
    WireRequest,
)

ENQUEUED = "2026-01-31T12:00:00Z"
PATIENCE_S = 20.0

_numbers = itertools.count(1)


def execution_request(
    name: str = "echo",
    params: Mapping[str, Any] | None = None,
    *,
    attempt: int = 1,
    deadline: datetime | None = None,
    request_id: str | None = None,
) -> ExecutionRequest:
    """Return a request as a runner receives it."""
    number = next(_numbers)
    return ExecutionRequest(
        request_id=request_id or f"request-{number}",
        job_id=f"job-{number}",
        function_name=name,
        params=dict(params or {}),
        context=ExecutionContext(
            job_id=f"job-{number}",
            attempt=attempt,
            enqueue_time=datetime.fromisoformat(ENQUEUED),
            queue_name="default",
            deadline=deadline,
        ),
    )


def wire_request(request: ExecutionRequest) -> WireRequest:
    """Return the same request as an orchestrator sends it."""
    return msgspec.convert(
        {**msgspec.to_builtins(request), "params": msgspec.Raw(msgspec.json.encode(request.params))},
        WireRequest,
    )


@dataclass
class Peer:
    """An orchestrator's end of one connection to a runner."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: OrchestratorConnection = field(default_factory=OrchestratorConnection)
    events: deque[Any] = field(default_factory=deque)

    async def event(self) -> Any:
        """Return the next event; ConnectionResetError at the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.events:
                data = await self.reader.read(65536)
                if not data:
                    raise ConnectionResetError("the runner closed the connection")
                self.events.extend(self.connection.receive(data))
        return self.events.popleft()

    async def outcome(self) -> WireOutcome:
        """Return the next outcome; an introduction before it is skipped."""
        event = await self.event()
        if isinstance(event, HelloReceived):
            event = await self.event()
        assert isinstance(event, OutcomeReceived), event
        return event.outcome

    def send(self, name: str, params: Mapping[str, Any] | None = None, **options: Any) -> ExecutionRequest:
        """Send a request and return it."""
        request = execution_request(name, params, **options)
        self.writer.write(self.connection.request(wire_request(request)))
        return request

    async def call(self, name: str, params: Mapping[str, Any] | None = None, **options: Any) -> WireOutcome:
        """Send a request and return its outcome."""
        self.send(name, params, **options)
        return await self.outcome()

    def cancel(self, request: ExecutionRequest, *, hard_kill: bool = False) -> None:
        """Send a cancel frame."""
        self.writer.write(self.connection.cancel(request.request_id, request.job_id, hard_kill))

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


def result_of(outcome: WireOutcome) -> Any:
    """Return the decoded result of a successful outcome."""
    assert outcome.status == "success", outcome
    return msgspec.json.decode(outcome.result) if outcome.result else None


async def connect(address: str) -> Peer:
    """Connect to a Unix path or to ``host:port``."""
    if "/" in address:
        return Peer(*await asyncio.open_unix_connection(address))
    host, _, port = address.rpartition(":")
    return Peer(*await asyncio.open_connection(host.strip("[]"), int(port)))


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Peer]:
    """Serve a connection for the block."""
    peer = await connect(address)
    try:
        yield peer
    finally:
        await peer.close()


@dataclass
class RunnerProcess:
    """A started runner. Its stderr is collected line by line."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def stderr(self) -> str:
        """Everything it has said so far."""
        return "\n".join(self.lines)

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until a line matches, and return the match."""
        async with asyncio.timeout(PATIENCE_S), self.heard:
            while True:
                for line in self.lines:
                    if match := re.search(pattern, line):
                        return match
                assert not self._ended, f"the runner ended without saying {pattern!r}:\n{self.stderr}"
                await self.heard.wait()

    async def listening(self) -> str:
        """Wait until it listens, and return the address."""
        return (await self.said(r"runner\.listening address=(\S+)"))[1]

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    _ended: bool = False

    async def collect(self) -> None:
        """Read stderr to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self.heard:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.heard.notify_all()
        async with self.heard:
            self._ended = True
            self.heard.notify_all()


@asynccontextmanager
async def started(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "rrq_runner"),
    **options: Any,
) -> AsyncIterator[RunnerProcess]:
    """Serve ``python -m rrq_runner ARGUMENTS`` for the block; it is killed at the end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        *arguments,
        env={key: value for key, value in os.environ.items() if not key.startswith("RRQ_")} | dict(env or {}),
        stderr=asyncio.subprocess.PIPE,
        **options,
    )
    runner = RunnerProcess(process)
    collecting = asyncio.ensure_future(runner.collect())
    try:
        yield runner
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await collecting
