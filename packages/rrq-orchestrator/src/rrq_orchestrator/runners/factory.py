"""Make the pools the settings ask for."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final, TypeAlias

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.base import Runner, RunnerListener
from rrq_orchestrator.runners.endpoints import Endpoints, tcp_base
from rrq_orchestrator.runners.environment import handed_on
from rrq_orchestrator.runners.in_process import InProcessRunner
from rrq_orchestrator.runners.isolation import IsolatingRunner, Places
from rrq_orchestrator.runners.plan import PoolPlan
from rrq_orchestrator.runners.pool import Pool
from rrq_protocol import (
    EndpointError,
    InvalidName,
    RunnerConfig,
    Settings,
    SettingsError,
    validate_queue_name,
)

__all__ = ["RunnerFactory", "make_runners", "runner_factory"]

RunnerFactory: TypeAlias = Callable[[RunnerListener], Mapping[str, Runner]]
"""Makes the runners of an orchestrator, by name, that report to its dispatcher."""

_UNENCRYPTED: Final = (
    "jobs and results travel in plain text, and whoever answers there is believed; use an encrypted tunnel "
    "that ends on this host (SSH, WireGuard, stunnel), or run the runner here"
)
_GIVEN: Final = "a mapping of names to InProcessRunner, or a function that makes all runners"
_NAME_RULE: Final = "1 to 128 characters out of A-Z a-z 0-9 . _ -"


def make_runners(
    settings: Settings, listener: RunnerListener, *, log: FilteringBoundLogger, random: Random
) -> dict[str, Runner]:
    """Return a runner for every entry of ``settings.runners``, by name. Nothing is started yet.

    Raises:
        SettingsError: A runner cannot work as configured; every finding is listed.
    """
    problems: list[str] = []
    runners: dict[str, Runner] = {}
    for name, configured in settings.runners.items():
        config = handed_on(configured, settings.telemetry)
        external = (config.mode or settings.runner_management_mode) == "external"
        if problem := _problem(config, external):
            problems.append(f"rrq.runners.{name}: {problem}")
            continue
        try:
            endpoints = Endpoints(name, config, external=external)
        except EndpointError as error:
            problems.append(f"rrq.runners.{name}: {error}")
            continue
        if host := _other_host(config):
            log.warning("runner.unencrypted", runner=name, host=host, hint=_UNENCRYPTED)
        plan = PoolPlan(
            config=config,
            external=external,
            capture=settings.capture_runner_output,
            connect_timeout_s=settings.runner_connect_timeout_ms / 1000,
            term_grace_s=settings.runner_shutdown_term_grace_seconds,
            drain_grace_s=settings.worker_shutdown_grace_period_seconds,
            endpoints=endpoints,
            random=random,
            silent_s=settings.runner_unresponsive_seconds,
        )
        runners[name] = _runner(name, plan, listener, log)
    if problems:
        raise SettingsError(problems)
    return runners


def runner_factory(
    settings: Settings,
    given: RunnerFactory | Mapping[str, InProcessRunner] | None,
    *,
    log: FilteringBoundLogger,
    random: Random,
) -> RunnerFactory:
    """Return what makes an orchestrator's runners.

    Args:
        settings: Those configured, as processes.
        given: Runners in this process, in place of those of the same names; or what makes all of them.
        log: Where they tell of themselves.
        random: Source of the backoffs' jitter.

    Raises:
        SettingsError: A runner is given under what cannot be the name of one.
        TypeError: Something else is given in place of runners.
    """
    if callable(given):
        return partial(_made, given)
    inhabitants = _checked(given)

    def make(listener: RunnerListener) -> Mapping[str, Runner]:
        processes = {name: config for name, config in settings.runners.items() if name not in inhabitants}
        others = msgspec.structs.replace(settings, runners=processes)
        runners = make_runners(others, listener, log=log, random=random)
        grace_s = settings.runner_cancel_grace_seconds
        for name, each in inhabitants.items():
            runners[name] = each.bind(name, listener, log, grace_s)
        return runners

    return make


def _made(given: RunnerFactory, listener: RunnerListener) -> Mapping[str, Runner]:
    made: object = given(listener)
    if isinstance(made, Mapping):
        return made
    if isinstance(made, Coroutine):
        made.close()  # or Python would complain that nobody awaited it
    raise TypeError(f"runners: expected {_GIVEN}, got one that returns {type(made).__name__}")


def _checked(given: object) -> dict[str, InProcessRunner]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"runners: expected {_GIVEN}, got {type(given).__name__}")
    for name, each in given.items():
        try:
            validate_queue_name(name)  # the rule for names of runners is the same
        except InvalidName:
            raise SettingsError([f"runners: {InvalidName('runner', name, _NAME_RULE)}"]) from None
        if not isinstance(each, InProcessRunner):
            raise TypeError(
                f"runners[{name!r}]: expected an InProcessRunner, such as InProcessRunner(execute), "
                f"got {type(each).__name__}"
            )
    return dict(given)


def _runner(name: str, plan: PoolPlan, listener: RunnerListener, log: FilteringBoundLogger) -> Runner:
    pool = Pool(name, plan, listener, log)
    if plan.external or plan.config.max_in_flight == 1:
        # Somebody else's processes cannot be multiplied; in a process with one slot everybody is alone.
        return pool
    config = msgspec.structs.replace(plan.config, pool_size=1, max_in_flight=1)

    def make(hears: RunnerListener) -> Pool:
        # The configured ports belong to the ordinary pool.
        endpoints = Endpoints(name, config, external=False, any_port=True)
        alone = replace(plan, config=config, endpoints=endpoints)
        return Pool(name, alone, hears, log.bind(isolated=True))

    return IsolatingRunner(pool, Places(name, make, listener, plan.config.suspect_processes))


def _other_host(config: RunnerConfig) -> str | None:
    """Return the host of a runner that is not on this one (RELIABILITY.md S5)."""
    base = tcp_base(config) if config.type == "socket" else None
    if base is None:
        return None
    try:
        tcp_base(msgspec.structs.replace(config, allowed_hosts=()))
    except EndpointError:
        return base.host
    return None


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
