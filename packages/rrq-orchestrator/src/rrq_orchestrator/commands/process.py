"""One orchestrator as a process: event loop, logs, signals, exit code."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator import logs
from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.commands.signals import Stops, ignore_signals, quieten_signals
from rrq_orchestrator.errors import RedisRefused
from rrq_protocol import Settings, SettingsError
from rrq_protocol.settings import RedisTarget, resolve_redis
from rrq_protocol.telemetry import enable_named
from rrq_protocol.telemetry import shutdown as shutdown_telemetry

if TYPE_CHECKING:
    from rrq_orchestrator.orchestrator import Orchestrator
    from rrq_orchestrator.runners.in_process import InProcessRunner

__all__ = [
    "Factory",
    "Runnable",
    "keep_standard_streams",
    "make_orchestrator",
    "make_talkative",
    "run_orchestrator",
]


class Runnable(Protocol):
    """What the process runs: an orchestrator."""

    def request_stop(self) -> None:
        """Ask for an orderly stop, or, asked again, for a fast one."""

    def request_restart(self) -> None:
        """Ask for new runner processes in place of the old ones."""

    async def run(self) -> int:
        """Work until stopped; returns the exit code."""


Factory = Callable[[Settings, RedisTarget, bool, FilteringBoundLogger], Runnable]

_LAST_TASKS_S = 1.0


def make_orchestrator(
    settings: Settings,
    target: RedisTarget,
    burst: bool,
    log: FilteringBoundLogger,
    runners: "Mapping[str, InProcessRunner] | None" = None,
) -> "Orchestrator":
    """Return an orchestrator for ``target``, with ``runners`` in place of those configured under their names.

    Raises:
        SettingsError: The Redis client cannot use the DSN.
    """
    from rrq_orchestrator.orchestrator import Orchestrator
    from rrq_orchestrator.store import Advice

    advice = Advice.about(target)
    try:
        return Orchestrator(
            settings,
            url=target,
            address=target.display,
            advice=advice,
            runners=runners,
            burst=burst,
            log=log,
        )
    except ValueError as error:
        raise SettingsError([f"rrq.redis_dsn: {error} ({target.display})"]) from error


def make_talkative(
    settings: Settings, target: RedisTarget, burst: bool, log: FilteringBoundLogger
) -> "Orchestrator":
    """Return an orchestrator that tells its developer of each job.

    Raises:
        SettingsError: The Redis client cannot use the DSN.
    """
    from rrq_orchestrator.telling import Narrator

    orchestrator = make_orchestrator(settings, target, burst, log)
    orchestrator.dispatcher.narrator = Narrator(log.info)
    return orchestrator


def run_orchestrator(
    settings: Settings,
    *,
    burst: bool = False,
    hangup_stops: bool = False,
    in_process: str | None = None,
    old_names: Sequence[str] = (),
    factory: Factory = make_orchestrator,
) -> int:
    """Run an orchestrator until it ends or is told to by a signal.

    Args:
        settings: Everything configured.
        burst: End once no job is left.
        hangup_stops: Whether the end of the terminal ends the process.
        in_process: Handlers to run in this process, ``pkg.module:attr``.
        old_names: What was found of names of earlier versions, to be logged.
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
    if old_names:
        hint = "they still work; write the new ones"
        log.warning("settings.old_names", found=list(old_names), hint=hint)
    with explained():
        enable_named(settings.telemetry, "rrq-orchestrator")
    if in_process is not None:
        from rrq_orchestrator.commands.in_process import load_in_process

        with explained():
            factory = partial(make_orchestrator, runners=load_in_process(in_process, settings))
    elif not settings.runners:
        hint = 'nothing executes jobs; add [rrq.runners.python] with app = "module:registry" to rrq.toml'
        log.warning("runners.none_configured", hint=hint)
    with explained():
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(_run(settings, target, burst, hangup_stops, factory, log))
        finally:
            ignore_signals()
            shutdown_telemetry()
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
        code = await orchestrator.run()
        return code if await _tasks_end(log) else _leave(ExitCode.FORCED)
    except (RedisRefused, SettingsError):
        raise
    except Exception:
        log.critical("orchestrator.crashed", exc_info=True)
        return ExitCode.UNEXPECTED
    finally:
        # Not by the loop's own way: it puts the defaults back first, and a signal in between would end the
        # process.
        quieten_signals()


async def _tasks_end(log: FilteringBoundLogger) -> bool:
    """Cancel what handlers in this process left running; False if some of it does not end.

    Closing the loop would wait for that for ever.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    left = (await asyncio.wait(tasks, timeout=_LAST_TASKS_S))[1] if tasks else ()
    if left:
        log.error("orchestrator.tasks_left", count=len(left))
    return not left


def _leave(code: int) -> NoReturn:
    logs.close()
    os._exit(code)


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
