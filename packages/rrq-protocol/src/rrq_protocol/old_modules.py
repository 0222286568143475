"""The module names of the first library (``rrq.client``, ``rrq.worker``, …), for programs written with them.

No file of ours has such a name: the public line's wheel ``rrq`` has, and two wheels with the same files
overwrite each other without a word. So the names are made when they are asked for, and a real package
``rrq`` always comes first. Which names there are is told by the installed wheels: entry points of the group
``rrq.old_modules`` lead from each to the module that has taken its place.

Whatever loads handlers makes them known by itself. Other programs call :func:`install_old_modules` before
they import, or are started as ``python -m rrq_protocol.old_program program.py``.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["install_old_modules"]

_ROOT = "rrq"


def install_old_modules() -> None:
    """Have ``import rrq.client`` and the like find what has taken their place, with a DeprecationWarning.

    Where a package ``rrq`` is installed nothing changes. Calling it again does nothing.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


class _Finder(MetaPathFinder):
    """Comes last: what any other finder finds is not looked for here."""

    _names: Mapping[str, str] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _ROOT and not (fullname.startswith(f"{_ROOT}.") and _is_ours(sys.modules.get(_ROOT))):
            return None
        if self._names is None:
            self._names = _known()
        if fullname in self._names:
            return ModuleSpec(fullname, _Alias(self._names[fullname]))
        if any(name.startswith(f"{fullname}.") for name in self._names):
            return ModuleSpec(fullname, _Folder(), is_package=True)
        return None


def _known() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {each.name: each.value for each in entry_points(group="rrq.old_modules")}


def _is_ours(module: ModuleType | None) -> bool:
    return module is not None and isinstance(getattr(module, "__loader__", None), _Folder)


class _Folder(Loader):
    """Makes a package that holds nothing but its modules."""

    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty."""


class _Alias(Loader):
    """Makes a module whose names are those of another one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        """Look every name up in the module that has taken the place."""
        there = import_module(self._name)
        message = (
            f"{module.__name__} is of an earlier version: docs/migration.md has the import to write instead"
        )
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        module.__doc__ = there.__doc__
        module.__dict__["__getattr__"] = partial(getattr, there)
        module.__dict__["__all__"] = list(getattr(there, "__all__", ()))
