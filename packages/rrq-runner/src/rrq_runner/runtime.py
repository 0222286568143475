"""A runner as a process: address, event loop, signals, exit code."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from rrq_protocol import Endpoint, EndpointError, SettingsError, StdioEndpoint
from rrq_protocol.telemetry import TelemetryUnavailable, enable_from
from rrq_protocol.telemetry import shutdown as shutdown_telemetry
from rrq_runner.address import AddressOptions, parse_options, resolve_endpoint, take_extensions
from rrq_runner.errors import LoadError, StartupError
from rrq_runner.failures import type_name
from rrq_runner.logs import configure_logging
from rrq_runner.parent import ParentWatch, watch_parent
from rrq_runner.server import Server
from rrq_runner.settings import RunnerSettings
from rrq_runner.transports.gate import take_nonce
from rrq_runner.transports.stdio import Pipes, claim_stdio

_log = logging.getLogger("rrq_runner")

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_ABANDONED: Final = 3
EXIT_CONFIGURATION: Final = 78

_LAST_SPANS_S: Final = 0.5
"""For sending spans when handlers were abandoned: the orchestrator's patience is nearly over."""


def run(settings: RunnerSettings, *, endpoint: Endpoint | None = None) -> None:
    """Serve the handlers of ``settings`` until the process is told to stop. The last line of a runner
    program.

    Args:
        settings: Handlers, hooks, limits.
        endpoint: Where to listen; by default what the program's arguments (``--unix-socket``,
            ``--tcp-socket``, ``--stdio``) or the environment say, which is how an orchestrator tells it.

    Raises:
        SystemExit: The runner could not start (code 1, 2 or 78), or abandoned handlers at its end (3). The
            reason is on stderr, in one line.
    """
    if endpoint is not None:
        chosen = endpoint
        code = run_process(lambda: settings, lambda: chosen)
    else:
        code = run_process(lambda: settings, lambda: _endpoint(parse_options(sys.argv[1:])))
    if code:
        raise SystemExit(code)


def run_process(load: Callable[[], RunnerSettings], find_endpoint: Callable[[], Endpoint]) -> int:
    """Run a runner in this process and return its exit code; errors of the user become one line on stderr.

    Args:
        load: Returns the settings. Called when stdout is safe to print to.
        find_endpoint: Returns where to listen.
    """
    with suppress(ValueError):  # not in the main thread: signals are its business
        # Until the event loop takes over there is nothing to finish.
        signal.signal(signal.SIGTERM, _leave_at_once)
    try:
        endpoint = find_endpoint()
        watch = watch_parent(os.environ)
        nonce = take_nonce(os.environ)
    except EndpointError as error:
        return _complain(error, EXIT_USAGE)
    pipes = claim_stdio() if isinstance(endpoint, StdioEndpoint) else None
    try:
        settings = load()
    except (LoadError, SettingsError) as error:
        return _complain(error, EXIT_CONFIGURATION)
    configure_logging()
    try:
        enable_from(os.environ, "rrq-runner")
        clean = _serve(settings, endpoint, nonce, pipes, watch)
    except StartupError as error:
        return _complain(error, EXIT_FAILURE)
    except TelemetryUnavailable as error:
        return _complain(error, EXIT_CONFIGURATION)
    finally:
        shutdown_telemetry()
        if watch is not None:
            watch.finish()
    return EXIT_OK if clean else EXIT_ABANDONED


def endpoint_from(options: AddressOptions) -> Callable[[], Endpoint]:
    """Return a function that resolves the address options of a command line against the environment."""
    return lambda: _endpoint(options)


def _endpoint(options: AddressOptions) -> Endpoint:
    return resolve_endpoint(options, os.environ)


def _serve(
    settings: RunnerSettings,
    endpoint: Endpoint,
    nonce: bytes | None,
    pipes: Pipes | None,
    watch: ParentWatch | None,
) -> bool:
    extensions = take_extensions(os.environ)

    async def main() -> bool:
        server = Server(settings, endpoint, extensions=extensions, nonce=nonce, pipes=pipes)
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            _handle_signals(loop, server, watch)
        if watch is not None:
            watch.on_death = lambda: _from_thread(loop, server.hurry)
        clean = await server.run()
        if not clean:
            # Closing the loop would wait for what could not be stopped, and so would the end of the
            # interpreter.
            shutdown_telemetry(_LAST_SPANS_S)
            if watch is not None:
                watch.finish()
            _leave(EXIT_ABANDONED)
        return clean

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return _run_to_its_end(runner.get_loop(), main())


def _run_to_its_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, bool]) -> bool:
    """Run ``main``, whatever the tasks and callbacks of handlers do to the loop (F76).

    SystemExit and KeyboardInterrupt leave a loop from any of them, and any of them may stop it.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
            if task.done() or loop.is_closed():
                raise
            _log.error("runner.loop_interrupted", extra={"error": type_name(error)})


def _handle_signals(loop: asyncio.AbstractEventLoop, server: Server, watch: ParentWatch | None) -> None:
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            server.hurry()
        stopping = True
        server.stop()

    def interrupt() -> None:
        # Ctrl-C reaches the whole group of a terminal. A managed runner leaves the decision to its
        # orchestrator.
        if watch is None or not watch.alive():
            stop()

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, interrupt)


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: the process is ending anyway
        loop.call_soon_threadsafe(call)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"rrq-runner: {error}\n")
    return code


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    _leave(EXIT_OK)


def _leave(code: int) -> None:
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
