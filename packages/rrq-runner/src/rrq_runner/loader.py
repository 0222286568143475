"""From ``--settings pkg.module:attr`` to the settings object.

Importing somebody's module can fail in many ways; each becomes one line that says what to correct (F16).
"""

import importlib
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from rrq_protocol import Settings, SettingsError, install_old_modules
from rrq_runner.errors import LoadError
from rrq_runner.failures import location, type_name
from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings

_FORM = "expected pkg.module:attr or pkg.module.attr"


def load_runner_settings(reference: str) -> RunnerSettings:
    """Import the module named in ``reference`` and return its settings object.

    A bare :class:`Registry` counts as settings with nothing else set; ``RRQSettings`` of the first library
    count with the handlers and hooks they hold.

    Raises:
        LoadError: The reference is malformed, the module is missing or fails, or the attribute is missing or
            of a wrong type. The text is one line.
    """
    found, attribute = _find(reference)
    if isinstance(found, Registry):
        return RunnerSettings(registry=found)
    if isinstance(found, Settings):
        try:
            return runner_settings_of(found)
        except SettingsError as error:
            raise LoadError(reference, str(error)) from error
    if not isinstance(found, RunnerSettings):
        raise LoadError(
            reference,
            f"expected a RunnerSettings, but {attribute} is {_article(type(found).__name__)}; "
            "write settings = RunnerSettings(registry=registry) and name that",
        )
    return found


def runner_settings_of(settings: Settings) -> RunnerSettings:
    """Return the handlers that settings of the first library hold; they find the settings in their state.

    Raises:
        SettingsError: They hold none, or something else.
    """
    from rrq_runner.compat import PythonRunnerSettings

    registry = getattr(settings, "job_registry", None)
    if registry is None:
        raise SettingsError(["expected handlers too: write RRQSettings(job_registry=job_registry, …)"])
    hooks = {name: getattr(settings, name, None) for name in ("on_startup", "on_shutdown")}
    return PythonRunnerSettings(registry, rrq_settings=settings, **hooks)


def load_app_settings(reference: str) -> Settings | None:
    """Import the module named in ``reference`` and return the settings of RRQ that the object is or holds;
    None where handlers have none.

    The current directory is on the import path. Entry point ``python`` of the group ``rrq.app_settings``.

    Raises:
        SettingsError: As LoadError of :func:`load_runner_settings`.
    """
    add_working_directory()
    try:
        found, attribute = _find(reference)
        if not isinstance(found, (Settings, RunnerSettings, Registry)):
            raise LoadError(
                reference,
                f"expected RRQSettings or a RunnerSettings, but {attribute} is "
                f"{_article(type(found).__name__)}",
            )
    except LoadError as error:
        raise SettingsError([str(error)]) from error
    held = found if isinstance(found, Settings) else getattr(found, "rrq_settings", None)
    return held if isinstance(held, Settings) else None


def _find(reference: str) -> tuple[Any, str]:
    """Return the object and the name of its attribute."""
    module_name, attribute = split_reference(reference)
    found: Any = _import(reference, module_name)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LoadError(reference, _no_attribute(found, module_name, name)) from None
    return found, attribute


def split_reference(reference: str) -> tuple[str, str]:
    """Split ``pkg.module:attr`` or ``pkg.module.attr`` into module and attribute.

    Raises:
        LoadError: It has neither form.
    """
    module, separator, attribute = reference.partition(":")
    if not separator:
        module, separator, attribute = reference.rpartition(".")
    names = [*module.split("."), *attribute.split(".")]
    file_name = reference.endswith(".py") or "/" in reference
    if not separator or file_name or not all(name.isidentifier() for name in names):
        raise LoadError(reference, f"{_FORM}{', not a file name' if file_name else ''}")
    return module, attribute


def add_working_directory() -> None:
    """Put the current directory on the import path, as ``python -m`` does; not with ``PYTHONSAFEPATH``."""
    here = str(Path.cwd())
    if not sys.flags.safe_path and here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _import(reference: str, module_name: str) -> ModuleType:
    install_old_modules()  # the module may import by the names of earlier versions
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise LoadError(
                reference,
                f"no module named {error.name!r}; run from the folder that holds it ({Path.cwd()}), "
                "or install it into this Python",
            ) from error
        raise LoadError(reference, _import_failed(module_name, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may even call sys.exit()
        raise LoadError(reference, _import_failed(module_name, error)) from error


def _import_failed(module_name: str, error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error).split("\n", 1)[0]
    # The reader's own line says more than the line inside a library it led to.
    where = location(error, inside=str(Path.cwd()))
    return f"importing {module_name} failed: {type_name(error)}: {text}{f' ({where})' if where else ''}"


def _no_attribute(owner: object, module_name: str, name: str) -> str:
    members = getattr(owner, "__dict__", {})
    usable = [
        each for kind in (RunnerSettings, Registry) for each in members if isinstance(members[each], kind)
    ]
    nearest = usable or get_close_matches(name, [each for each in members if not each.startswith("_")], n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    place = f"module {module_name}" if isinstance(owner, ModuleType) else _article(type(owner).__name__)
    return f"{place} has no attribute {name!r}{hint}"


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOUaeiou' else 'a'} {noun}"
