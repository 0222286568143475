"""What a runner process is started with: its command and its environment.

A runner executes handlers and their dependencies; the orchestrator's own secrets are none of its business.
So the environment is an allow-list, plus what the settings name (RELIABILITY.md S8, S16), and nothing secret
goes into the arguments, which every user of the machine can read (S9).
"""

import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from rrq_protocol import Endpoint, RunnerConfig, StdioEndpoint, TcpEndpoint, UnixEndpoint

__all__ = [
    "CONTROL_FD_VARIABLE",
    "EXTENSIONS",
    "NONCE_FD_VARIABLE",
    "app_command",
    "handed_on",
    "runner_command",
    "runner_environment",
]

CONTROL_FD_VARIABLE: Final = "RRQ_RUNNER_CONTROL_FD"
NONCE_FD_VARIABLE: Final = "RRQ_RUNNER_NONCE_FD"
EXTENSIONS: Final = "hello,ping"

_NEVER: Final = frozenset({"RRQ_REDIS_DSN", "RRQ_REDIS_DSN_FILE"})
_ALLOWED: Final = frozenset(
    {
        "CURL_CA_BUNDLE",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "NODE_EXTRA_CA_CERTS",
        "NODE_PATH",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "PYTHONUTF8",
        "REQUESTS_CA_BUNDLE",
        "RRQ_EXECUTOR_CONFIG",
        "RRQ_EXECUTOR_SETTINGS",
        "RRQ_RUNNER_CONFIG",
        "RRQ_RUNNER_SETTINGS",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TEMP",
        "TMP",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    }
)
_ALLOWED_PREFIXES: Final = ("LC_",)
_TELEMETRY_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "otel": ("OTEL_*",),
    "ddtrace": ("DD_*", "OTEL_*"),
    "logfire": ("LOGFIRE_*", "OTEL_*"),
}


def runner_environment(
    config: RunnerConfig,
    endpoint: Endpoint,
    inherited: Mapping[str, str],
    *,
    control_fd: int | None = None,
    nonce_fd: int | None = None,
) -> dict[str, str]:
    """Return the environment of a runner process.

    Args:
        config: Gives ``env`` and ``env_passthrough``.
        endpoint: Where the runner listens, or stdio.
        inherited: The orchestrator's own environment, of which only allowed names are handed on.
        control_fd: Number of the inherited pipe whose end of file means that the orchestrator is gone.
        nonce_fd: Number of the inherited socket that holds the nonce (:mod:`.nonce`).
    """
    exact = {name for name in config.env_passthrough if not name.endswith("*")}
    prefixes = _ALLOWED_PREFIXES + tuple(name[:-1] for name in config.env_passthrough if name.endswith("*"))
    environment = {
        name: value
        for name, value in inherited.items()
        if name not in _NEVER and (name in _ALLOWED or name in exact or name.startswith(prefixes))
    }
    # Output is relayed line by line; a runner in Python would hold it back in blocks otherwise.
    environment["PYTHONUNBUFFERED"] = "1"
    environment.update(config.env)
    environment["RRQ_RUNNER_EXTENSIONS"] = EXTENSIONS
    if control_fd is not None:
        environment[CONTROL_FD_VARIABLE] = str(control_fd)
    if nonce_fd is not None:
        environment[NONCE_FD_VARIABLE] = str(nonce_fd)
    if isinstance(endpoint, UnixEndpoint):
        environment["RRQ_RUNNER_SOCKET"] = environment["RRQ_EXECUTOR_SOCKET"] = endpoint.path
    elif isinstance(endpoint, TcpEndpoint):
        environment["RRQ_RUNNER_TCP_SOCKET"] = environment["RRQ_EXECUTOR_TCP_SOCKET"] = str(endpoint)
    return environment


def handed_on(config: RunnerConfig, telemetry: str) -> RunnerConfig:
    """Return a runner's configuration with what it needs to trace as the orchestrator does; its own variables
    win.

    The library's variables are handed on, and with them what its exporter authenticates with.
    """
    passed = _TELEMETRY_VARIABLES.get(telemetry)
    if passed is None:
        return config
    return msgspec.structs.replace(
        config,
        env={"RRQ_TELEMETRY": telemetry, **config.env},
        env_passthrough=(*config.env_passthrough, *passed),
    )


def app_command(app: str) -> list[str]:
    """Return what serves the Python handlers that ``app`` names, without the address."""
    return [sys.executable, "-m", "rrq_runner", "--settings", app]


def runner_command(config: RunnerConfig, endpoint: Endpoint) -> list[str]:
    """Return the command of a managed runner with the arguments that say where to listen.

    A command that names its transport itself is left as it is.
    """
    if config.app is not None:
        command = app_command(config.app)
    else:
        command = list(config.cmd or ())
    arguments = {
        TcpEndpoint: ["--tcp-socket", str(endpoint)],
        UnixEndpoint: ["--unix-socket", str(endpoint)],
        StdioEndpoint: ["--stdio"],
    }[type(endpoint)]
    named = any(each == arguments[0] or each.startswith(f"{arguments[0]}=") for each in command)
    return command if named else command + arguments
