"""Make the pools the settings ask for."""

from random import Random

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.base import Runner, RunnerListener
from rrq_orchestrator.runners.endpoints import Endpoints
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.pool import Pool
from rrq_protocol import EndpointError, RunnerConfig, Settings, SettingsError

__all__ = ["make_runners"]


def make_runners(
    settings: Settings, listener: RunnerListener, *, log: FilteringBoundLogger, random: Random
) -> dict[str, Runner]:
    """Return a runner for every entry of ``settings.runners``, by name. Nothing is started yet.

    Raises:
        SettingsError: A runner cannot work as configured; every finding is listed.
    """
    problems: list[str] = []
    runners: dict[str, Runner] = {}
    for name, config in settings.runners.items():
        external = (config.mode or settings.runner_management_mode) == "external"
        if problem := _problem(config, external):
            problems.append(f"rrq.runners.{name}: {problem}")
            continue
        try:
            endpoints = Endpoints(name, config, external=external)
        except EndpointError as error:
            problems.append(f"rrq.runners.{name}: {error}")
            continue
        plan = PoolPlan(
            config=config,
            external=external,
            capture=settings.capture_runner_output,
            connect_timeout_s=settings.runner_connect_timeout_ms / 1000,
            term_grace_s=settings.runner_shutdown_term_grace_seconds,
            drain_grace_s=settings.worker_shutdown_grace_period_seconds,
            endpoints=endpoints,
            random=random,
        )
        runners[name] = Pool(name, plan, listener, log)
    if problems:
        raise SettingsError(problems)
    return runners


def _problem(config: RunnerConfig, external: bool) -> str | None:
    if not external:
        if config.app is None and not config.cmd:
            return 'set `app = "pkg.module:attr"` for Python handlers, or `cmd` for any other command'
        return None
    if config.type == "stdio":
        return "a runner of type stdio cannot be external: only the process that starts it has its pipes"
    if config.tcp_socket is None and not config.tcp_port and config.socket_dir is None:
        return "an external runner needs `tcp_socket`, `tcp_port` or `socket_dir`, to know where it listens"
    return None
