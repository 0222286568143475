"""The life of a runner: hooks, listening, executing, draining."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from importlib.metadata import PackageNotFoundError, version

from rrq_protocol import Endpoint, Hello, RunnerConnection, StdioEndpoint, TcpEndpoint
from rrq_runner.context import State
from rrq_runner.engine import Engine
from rrq_runner.lifespan import running_hooks
from rrq_runner.session import Session
from rrq_runner.settings import DEFAULT_MAX_IN_FLIGHT, RunnerSettings
from rrq_runner.transports import Admit, Listener
from rrq_runner.transports.gate import Gatekeeper
from rrq_runner.transports.peer import refusal
from rrq_runner.transports.refusals import Refusals
from rrq_runner.transports.stdio import Pipes, claim_stdio, listen_stdio
from rrq_runner.transports.tcp import listen_tcp
from rrq_runner.transports.unix import listen_unix

_log = logging.getLogger("rrq_runner")

_EXTENSIONS = frozenset({"ping"})
"""Those this runner takes part in, where they are offered, besides the hello itself."""
_LAST_WRITE_S = 1.0
"""How long a peer may take to read the last responses."""


class Server:
    """Serves the handlers of ``settings`` at one endpoint until it is stopped.

    Args:
        settings: Handlers, hooks, limits.
        endpoint: Where to listen.
        extensions: What the orchestrator offered, such as ``hello``.
        nonce: What a TCP connection has to prove to know (:mod:`.transports.gate`); None: nothing.
        pipes: The descriptors of stdio, where they have been claimed already.
    """

    def __init__(
        self,
        settings: RunnerSettings,
        endpoint: Endpoint,
        *,
        extensions: frozenset[str] = frozenset(),
        nonce: bytes | None = None,
        pipes: Pipes | None = None,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._extensions = extensions
        self._nonce = nonce
        self._gatekeeper: Gatekeeper | None = None
        self._refusals = Refusals()
        self._pipes = pipes
        self._sessions: set[Session] = set()
        self._no_sessions = asyncio.Event()
        self._stopping = asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        self._engine: Engine | None = None
        self._hurried = False

    async def run(self, listening: Callable[[str], None] | None = None) -> bool:
        """Run until :meth:`stop`.

        Args:
            listening: Called with the address once peers can connect.

        Returns:
            True if every handler has ended, False if some had to be abandoned.

        Raises:
            StartupError: A start-up hook failed or the endpoint cannot be listened on.
        """
        state: State = {}
        async with AsyncExitStack() as stack:
            try:
                # Without a limit of its own: stopping expires it, so that a slow hook does not hold the
                # process.
                async with asyncio.timeout(0 if self._stopping.is_set() else None) as self._starting:
                    await stack.enter_async_context(running_hooks(self._settings, state))
            except TimeoutError:
                return True
            finally:
                self._starting = None
            self._engine = Engine(self._settings.registry, state=state, threads=self._settings.threads)
            if self._hurried:
                self._engine.hurry()
            listener = await self._listen(self._engine)
            try:
                _log.info(
                    "runner.listening",
                    extra={"address": listener.address, "handlers": len(self._settings.registry)},
                )
                if listening is not None:
                    listening(listener.address)
                await self._stopping.wait()
            finally:
                clean = await self._drain(listener, self._engine)
            return clean

    def stop(self) -> None:
        """Take no more requests, let handlers end within the grace, then return from :meth:`run`."""
        self._stopping.set()
        if self._starting is not None and not self._starting.expired():
            self._starting.reschedule(asyncio.get_running_loop().time())

    def hurry(self) -> None:
        """Stop, and cancel handlers now."""
        self._hurried = True
        self.stop()
        if self._engine is not None:
            self._engine.hurry()

    async def _listen(self, engine: Engine) -> Listener:
        endpoint = self._endpoint
        if isinstance(endpoint, StdioEndpoint):
            return await listen_stdio(self._pipes or claim_stdio(), lambda: self._session(engine, stdio=True))
        if isinstance(endpoint, TcpEndpoint):
            if self._nonce is None:
                return await listen_tcp(endpoint, lambda: self._session(engine, self._admit))
            self._gatekeeper = Gatekeeper(
                self._nonce, self._admit, lambda: self._session(engine), self._refusals
            )
            return await listen_tcp(endpoint, self._gatekeeper)
        return await listen_unix(endpoint, lambda: self._session(engine, self._admit))

    def _admit(self, transport: asyncio.BaseTransport) -> str | None:
        return refusal(transport, self._settings.allowed_uids)

    def _session(self, engine: Engine, admit: Admit | None = None, *, stdio: bool = False) -> Session:
        settings = self._settings
        session = Session(
            engine,
            RunnerConnection("line" if stdio else "length", settings.max_in_flight or DEFAULT_MAX_IN_FLIGHT),
            hello=self._hello() if "hello" in self._extensions else None,
            admit=admit,
            refusals=self._refusals,
            on_end=self._ended,
            on_eof=self.stop if stdio else None,
        )
        session.draining = self._stopping.is_set()
        self._sessions.add(session)
        self._no_sessions.clear()
        return session

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._no_sessions.set()
        if isinstance(self._endpoint, StdioEndpoint):
            self.stop()  # there will be no other connection

    def _hello(self) -> Hello:
        settings = self._settings
        return Hello(
            "rrq-runner",
            runner_version(),
            settings.registry.names,
            settings.max_in_flight,
            sorted(_EXTENSIONS & self._extensions),
        )

    async def _drain(self, listener: Listener, engine: Engine) -> bool:
        listener.close()
        if self._gatekeeper is not None:
            self._gatekeeper.close()
        for session in self._sessions:
            session.draining = True
        _log.info("runner.draining", extra={"running": engine.running})
        clean = await engine.stop(self._settings.shutdown_grace_s, self._settings.cancel_grace_s)
        for session in tuple(self._sessions):
            session.close()
        if self._sessions:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITE_S):
                    await self._no_sessions.wait()
        for session in tuple(self._sessions):
            session.abort()
        _log.info("runner.stopped", extra={"abandoned": engine.running})
        return clean


def runner_version() -> str:
    """Return the version of this wheel."""
    try:
        return version("rrq-runner")
    except PackageNotFoundError:  # run from a source tree
        return "0"
