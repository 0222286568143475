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

__all__ = ["load_in_process"]

_GROUP: Final = "rrq.in_process"
_RUNTIME: Final = "python"


def load_in_process(reference: object, settings: "Settings") -> "dict[str, InProcessRunner]":
    """Return the default runner, to run handlers in this process: those that ``reference`` names, or is.

    Raises:
        SettingsError: They cannot be loaded.
        click.exceptions.Exit: No installed wheel runs handlers; told on standard error.
    """
    from rrq_orchestrator.runners.in_process import DEFAULT_SLOTS, InProcessRunner

    found = [each for each in entry_points(group=_GROUP) if each.name == _RUNTIME]
    if not found:
        fail("--settings: install rrq-runner, which runs handlers: pip install rrq-runner", ExitCode.USAGE)
    handlers: Any = found[0].load()(reference)
    name = settings.default_runner_name
    configured = settings.runners.get(name)
    limits = [] if configured is None else [configured.max_in_flight]
    limits += [] if handlers.max_in_flight is None else [handlers.max_in_flight]
    slots = min(limits, default=DEFAULT_SLOTS)
    made = InProcessRunner(lifespan=handlers.open, max_in_flight=slots, handlers=handlers.names)
    return {name: made}
