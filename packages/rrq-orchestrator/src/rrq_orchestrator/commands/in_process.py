"""``rrq worker run --settings pkg.module:attr``: handlers in the orchestrator's own process.

The wheel that runs handlers offers itself through the entry-point group ``rrq.in_process``: a function of the
reference that returns an object with ``open()``, the async context manager that yields what executes, the
``names`` of the handlers, and ``max_in_flight``.
"""

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from rrq_orchestrator.commands.exits import ExitCode, fail

if TYPE_CHECKING:
    from rrq_orchestrator.runners.in_process import InProcessRunner
    from rrq_protocol import Settings

__all__ = ["app_settings", "load_in_process"]

_GROUP: Final = "rrq.in_process"
_SETTINGS_GROUP: Final = "rrq.app_settings"
_RUNTIME: Final = "python"


def app_settings(reference: str) -> "Settings | None":
    """Return the settings of RRQ that the object ``reference`` names is or holds; None for handlers alone.

    Raises:
        SettingsError: It cannot be loaded.
        click.exceptions.Exit: No installed wheel runs handlers; told on standard error.
    """
    load: Any = _of_the_wheel(_SETTINGS_GROUP)
    settings: Settings | None = load(reference)
    return settings


def _of_the_wheel(group: str) -> Any:
    found = [each for each in entry_points(group=group) if each.name == _RUNTIME]
    if not found:
        fail("--settings: install rrq-runner, which runs handlers: pip install rrq-runner", ExitCode.USAGE)
    return found[0].load()


def load_in_process(reference: object, settings: "Settings") -> "dict[str, InProcessRunner]":
    """Return the default runner, to run handlers in this process: those that ``reference`` names, or is.

    Raises:
        SettingsError: They cannot be loaded.
        click.exceptions.Exit: No installed wheel runs handlers; told on standard error.
    """
    from rrq_orchestrator.runners.in_process import DEFAULT_SLOTS, InProcessRunner

    handlers: Any = _of_the_wheel(_GROUP)(reference)
    name = settings.default_runner_name
    configured = settings.runners.get(name)
    limits = [] if configured is None else [configured.max_in_flight]
    limits += [] if handlers.max_in_flight is None else [handlers.max_in_flight]
    slots = min(limits, default=DEFAULT_SLOTS)
    made = InProcessRunner(lifespan=handlers.open, max_in_flight=slots, handlers=handlers.names)
    return {name: made}
