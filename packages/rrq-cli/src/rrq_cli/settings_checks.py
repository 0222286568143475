"""What other wheels find wrong with settings they alone can judge (entry points ``rrq.settings_checks``).

Each entry point is a function: settings in, problems out, one line each that begins with the key path.
"""

from typing import TYPE_CHECKING

from rrq_cli.exits import CliError

if TYPE_CHECKING:
    from rrq_protocol import Settings

__all__ = ["ENTRY_POINTS", "problems_of_others"]

ENTRY_POINTS = "rrq.settings_checks"


def problems_of_others(settings: "Settings") -> list[str]:
    """Return what the installed checks find wrong with settings.

    Raises:
        CliError: A check cannot be loaded, or fails.
    """
    from importlib.metadata import entry_points

    problems: list[str] = []
    for check in sorted(entry_points(group=ENTRY_POINTS), key=lambda each: (each.name, each.value)):
        source = check.dist.name if check.dist is not None else check.value
        try:
            problems += check.load()(settings)
        except Exception as error:
            raise CliError(
                f"the check {check.name} of settings (from {source}) failed: {type(error).__name__}: "
                f"{error}\nReinstall or remove {source}."
            ) from error
    return problems
