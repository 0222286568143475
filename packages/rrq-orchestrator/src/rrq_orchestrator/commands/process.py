"""One orchestrator as a process: event loop, logs, signals, exit code."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator import logs
from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.commands.signals import Stops, ignore_signals, quieten_signals
from rrq_orchestrator.errors import RedisRefused
from rrq_protocol import Settings, SettingsError
from rrq_protocol.settings import RedisTarget, resolve_redis

__all__ = ["Factory", "Runnable", "keep_standard_streams", "make_orchestrator", "run_orchestrator"]


class Runnable(Protocol):
    """What the process runs: an orchestrator."""

    def request_stop(self) -> None:
        """Ask for an orderly stop, or, asked again, for a fast one."""

    def request_restart(self) -> None:
        """Ask for new runner processes in place of the old ones."""

    async def run(self) -> int:
        """Work until stopped; returns the exit code."""


Factory = Callable[[Settings, RedisTarget, bool, FilteringBoundLogger], Runnable]


def make_orchestrator(
    settings: Settings, target: RedisTarget, burst: bool, log: FilteringBoundLogger
) -> Runnable:
    """Return an orchestrator for ``target``.

    Raises:
        SettingsError: The Redis client cannot use the DSN.
    """
    from rrq_orchestrator.orchestrator import Orchestrator
    from rrq_orchestrator.store import Advice

    advice = Advice.about(target)
    try:
        return Orchestrator(settings, url=target, address=target.display, advice=advice, burst=burst, log=log)
    except ValueError as error:
        raise SettingsError([f"rrq.redis_dsn: {error} ({target.display})"]) from error


def run_orchestrator(
    settings: Settings,
    *,
    burst: bool = False,
    hangup_stops: bool = False,
    factory: Factory = make_orchestrator,
) -> int:
    """Run an orchestrator until it ends or is told to by a signal.

    Args:
        settings: Everything configured.
        burst: End once no job is left.
        hangup_stops: Whether the end of the terminal ends the process.
        factory: Makes the orchestrator.

    Returns:
        The exit code (:class:`~rrq_orchestrator.commands.exits.ExitCode`).

    Raises:
        click.exceptions.Exit: For a mistake that was explained on standard error.
    """
    target = resolve_redis(settings)
    if target.problem is not None:
        fail(target.problem, ExitCode.CONFIGURATION)
    log = logs.configure(settings)
    if not settings.runners:
        hint = 'nothing executes jobs; add [rrq.runners.python] with app = "module:registry" to rrq.toml'
        log.warning("runners.none_configured", hint=hint)
    with explained():
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(_run(settings, target, burst, hangup_stops, factory, log))
        finally:
            ignore_signals()
            logs.close()


async def _run(
    settings: Settings,
    target: RedisTarget,
    burst: bool,
    hangup_stops: bool,
    factory: Factory,
    log: FilteringBoundLogger,
) -> int:
    loop = asyncio.get_running_loop()
    stops = Stops(log, hangup_stops=hangup_stops, now=time.monotonic)
    stops.install(loop)
    try:
        orchestrator = factory(settings, target, burst, log)
        stops.attach(orchestrator)
        return await orchestrator.run()
    except (RedisRefused, SettingsError):
        raise
    except Exception:
        log.critical("orchestrator.crashed", exc_info=True)
        return ExitCode.UNEXPECTED
    finally:
        # Not by the loop's own way: it puts the defaults back first, and a signal in between would end the
        # process.
        quieten_signals()


def keep_standard_streams() -> None:
    """Open ``/dev/null`` for each closed standard stream, lest the next socket becomes standard error."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
