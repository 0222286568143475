"""Runner processes for checks: started as an orchestrator starts them, kept while they are fit, and ended."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import structlog

from rrq_orchestrator.conformance.link import Link
from rrq_orchestrator.conformance.talk import Talk
from rrq_orchestrator.conformance.verdict import Finding, Kind
from rrq_orchestrator.runners.dial import dial
from rrq_orchestrator.runners.endpoints import Endpoints
from rrq_orchestrator.runners.environment import runner_command, runner_environment
from rrq_orchestrator.runners.nonce import Nonce
from rrq_orchestrator.runners.process import RunnerProcess, StartFailed, exit_text, start_process
from rrq_orchestrator.runners.termination import kill
from rrq_protocol import Endpoint, RunnerConfig, StdioEndpoint, TcpEndpoint

__all__ = ["Bench"]

_EXTENSIONS: Final = "RRQ_RUNNER_EXTENSIONS"
_LAST_WORDS_S: Final = 0.5


class Bench:
    """See the module.

    Args:
        command: Starts the runner; the address is added to its arguments.
        kind: The transport.
        patience_s: Longest wait for a start, an answer, an end.
        grace_s: Time between SIGTERM and SIGKILL.
        cwd: Where the runner works.
        env: Variables on top of those an orchestrator hands on.

    Attributes:
        last: The connection used last.
    """

    def __init__(
        self,
        command: Sequence[str],
        kind: Kind,
        *,
        patience_s: float,
        grace_s: float,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.patience_s, self.grace_s = kind, patience_s, grace_s
        self.last: Link | None = None
        self._config = RunnerConfig(
            type="stdio" if kind == "stdio" else "socket",
            cmd=tuple(command),
            cwd=cwd,
            env=dict(env or {}),
            tcp_port=0 if kind == "tcp" else None,
            pool_size=1,
        )
        self._endpoints = Endpoints("conformance", self._config, external=False)
        self._endpoint: Endpoint | None = None
        self._process: RunnerProcess | None = None
        self._nonce: Nonce | None = None
        self._offering, self._used = True, False
        self._talks: list[Talk] = []

    def begin(self) -> None:
        """Begin a check: until the next one, the process it uses has to go on."""
        self.last, self._used = None, False

    async def talk(self, *, offering: bool = True, again: bool = False) -> Talk:
        """Return a new connection to a runner that works; on stdio the one there is, if it is idle.

        Args:
            offering: Whether the runner is offered the extensions.
            again: Whether the process this check used before was to end.

        Raises:
            Finding: The runner does not come up, or ended within the check.
        """
        if again:
            self._used = False
        if self._used and (ended := self.how_it_ended()) is not None:
            raise Finding(f"expected the process to go on, it {ended}")
        used, self._used = self._used, True
        if offering != self._offering or (self.kind == "stdio" and not self._reusable()):
            await self.discard()
        self._offering = offering
        try:
            if self._process is None or self._process.exited.is_set():
                await self.discard()
                async with asyncio.timeout(self.patience_s):
                    await self._start()
            if self.kind == "stdio" and self._talks:
                self.last = self._talks[-1].link
                return self._talks[-1]
            link = Link(stdio=self.kind == "stdio")
            self._talks.append(Talk(link, self.patience_s))
            async with asyncio.timeout(self.patience_s):
                await self._reach(link)
            self.last = link
        except StartFailed as error:
            what = "expected the process to go on" if used else "the runner does not start"
            raise Finding(f"{what}: {error}") from None
        except TimeoutError:
            raise Finding(f"the runner does not listen within {self.patience_s:g} s") from None
        return self._talks[-1]

    async def stranger(self) -> Talk:
        """Return a connection of somebody who does not know the nonce; a runner on TCP is up already."""
        link = self.last = Link(stdio=False)
        self._talks.append(Talk(link, self.patience_s))
        endpoint = self.endpoint
        assert isinstance(endpoint, TcpEndpoint)
        try:
            await dial(endpoint, lambda: link, self._process, patient=False)
        except StartFailed as error:
            raise Finding(str(error)) from None
        return self._talks[-1]

    @property
    def took_nonce(self) -> bool:
        """Whether the process asks who connects."""
        return self._nonce is not None and self._nonce.taken

    def be_patient(self, patience_s: float) -> None:
        """Wait so long at most, from now on."""
        self.patience_s = self.grace_s = patience_s
        for talk in self._talks:
            talk.patience_s = patience_s

    @property
    def endpoint(self) -> Endpoint:
        """Where the process listens."""
        assert self._endpoint is not None
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """The process that serves, None where there is none."""
        process = self._process
        return None if process is None or process.exited.is_set() else process.pid

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self._process is not None:
            self._process.ask_to_end()

    async def ended(self, within_s: float) -> int:
        """Wait until the process has ended, and return its code (negative: the signal).

        Raises:
            Finding: It does not end in time.
        """
        assert self._process is not None
        with anyio.move_on_after(within_s):
            await self._process.exited.wait()
            return self._process.returncode or 0
        raise Finding(f"expected the process to end, it still runs after {within_s:g} s")

    def transcript(self) -> tuple[bytes, bytes]:
        """Return the last bytes sent and received on the connection used last."""
        return (self.last.sent, self.last.received) if self.last is not None else (b"", b"")

    async def leave(self) -> None:
        """Close the connections of a check that passed; the process goes on if it can."""
        if self.kind == "stdio":
            return
        for talk in self._talks:
            talk.link.close()
        self._talks.clear()

    async def discard(self) -> tuple[str, ...]:
        """End the process, and return the last lines it printed."""
        for talk in self._talks:
            talk.link.close()
        self._talks.clear()
        process, self._process = self._process, None
        said: list[str] = []
        if process is not None:
            await kill(process)
            await process.outputs_closed(_LAST_WORDS_S)
            said = process.tail()
            process.close()
        if self._nonce is not None:
            self._nonce.close()
            self._nonce = None
        if self._endpoint is not None:
            self._endpoints.release(0, self._endpoint)
            self._endpoint = None
        return tuple(said)

    async def close(self) -> None:
        """End everything."""
        await self.discard()
        self._endpoints.close()

    def _reusable(self) -> bool:
        return self.pid is not None and bool(self._talks) and self._talks[-1].idle

    async def _start(self) -> None:
        endpoint = self._endpoint = self._endpoints.allocate(0)
        stdio = isinstance(endpoint, StdioEndpoint)
        nonce = self._nonce = Nonce() if isinstance(endpoint, TcpEndpoint) else None
        nonce_fd = None if nonce is None else nonce.fd
        try:
            self._process = start_process(
                runner_command(self._config, endpoint),
                lambda control_fd: self._environment(endpoint, control_fd, nonce_fd),
                cwd=self._config.cwd,
                stdio=stdio,
                pass_fds=() if nonce_fd is None else (nonce_fd,),
            )
        finally:
            if nonce is not None:
                nonce.handed_over()
        await self._process.identified()
        # What the runner prints is kept for the report; it is nobody's log.
        silent: Any = structlog.wrap_logger(None, processors=[_drop])
        await self._process.capture(silent, stdout=not stdio)

    def _environment(self, endpoint: Endpoint, control_fd: int, nonce_fd: int | None) -> Mapping[str, str]:
        environment = runner_environment(
            self._config, endpoint, os.environ, control_fd=control_fd, nonce_fd=nonce_fd
        )
        if not self._offering:
            del environment[_EXTENSIONS]
        return environment

    async def _reach(self, link: Link) -> None:
        process, endpoint = self._process, self._endpoint
        assert process is not None
        if isinstance(endpoint, StdioEndpoint):
            loop = asyncio.get_running_loop()
            writer, _ = await loop.connect_write_pipe(asyncio.Protocol, process.stdin)
            link.write_to(writer)
            await loop.connect_read_pipe(lambda: link, process.stdout)
            return
        assert endpoint is not None
        await dial(endpoint, lambda: link, process, nonce=self._nonce)

    async def postscript(self) -> str:
        """Return what there is to add to a finding: the process's end, if that has come."""
        if self._process is None or self.last is None or not self.last.ended:
            return ""
        with anyio.move_on_after(_LAST_WORDS_S):
            await self._process.exited.wait()
        ended = self.how_it_ended()
        return "" if ended is None else f"; the process {ended}"

    def how_it_ended(self) -> str | None:
        """Return how the process ended, in words; None while it runs."""
        process = self._process
        if process is None or not process.exited.is_set():
            return None
        return exit_text(process.returncode or 0)


def _drop(_: object, __: str, event: Any) -> Any:
    raise structlog.DropEvent
