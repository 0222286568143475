"""Rules about Python modules: their length, their mirrored tests, what they export and what they use of other
wheels.
"""

import ast
import importlib
from collections.abc import Collection
from pathlib import Path

__all__ = ["MAX_LINES", "export_problems", "foreign_names", "length_problems", "mirror_problems"]

MAX_LINES = 400
# Modules of the contract wheel that the others may import from besides its top level.
PUBLIC_SUBMODULES = frozenset(
    {
        "rrq_protocol.settings",
        "rrq_protocol.telemetry",
        "rrq_protocol.telemetry.ddtrace",
        "rrq_protocol.telemetry.logfire",
        "rrq_protocol.telemetry.otel",
        "rrq_protocol.testing",
        "rrq_protocol.transitions",
    }
)


def length_problems(name: str, text: str) -> list[str]:
    """Return a finding where a module is longer than the limit."""
    lines = len(text.splitlines())
    return (
        [f"{name}: expected at most {MAX_LINES} lines, got {lines}; split it by noun"]
        if lines > MAX_LINES
        else []
    )


def mirror_problems(source: Path, tests: Path) -> list[str]:
    """Return the modules under ``source`` whose test is missing under ``tests``.

    ``store/jobs.py`` is tested by ``store/test_jobs.py``. Modules whose name starts with an underscore need
    none.
    """
    findings = []
    for module in sorted(source.rglob("*.py")):
        if module.name.startswith("_"):
            continue
        place = module.relative_to(source)
        expected = tests / place.parent / f"test_{place.name}"
        if not expected.is_file():
            findings.append(
                f"{place}: expected its tests in {expected.relative_to(tests.parent)}, which is missing"
            )
    return findings


def export_problems(module: str) -> list[str]:
    """Return what is wrong with the ``__all__`` of a package that can be imported."""
    imported = importlib.import_module(module)
    exported: list[str] | None = getattr(imported, "__all__", None)
    if exported is None:
        return [f"{module}: expected __all__, found none"]
    findings = [
        f"{module}: {name} is in __all__ but not in the module"
        for name in exported
        if not hasattr(imported, name)
    ]
    if list(exported) != sorted(set(exported)):
        findings.append(f"{module}: expected __all__ in sorted order without repeats")
    return findings


def foreign_names(name: str, text: str, exported: Collection[str]) -> list[str]:
    """Return what a module of an upper wheel takes from the contract wheel besides its public names.

    Args:
        name: What to call the module in findings.
        text: Its source.
        exported: The contract wheel's ``__all__``.
    """
    findings = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module="rrq_protocol", names=names):
                allowed = {*exported, *(public.rpartition(".")[2] for public in PUBLIC_SUBMODULES)}
                unknown = [alias.name for alias in names if alias.name not in allowed]
                findings += [f"{name}:{node.lineno}: rrq_protocol does not export {each}" for each in unknown]
            case ast.ImportFrom(module=str(module)) if (
                module.startswith("rrq_protocol.") and module not in PUBLIC_SUBMODULES
            ):
                findings.append(
                    f"{name}:{node.lineno}: {module} is private to its wheel; import from rrq_protocol"
                )
            case ast.Import(names=names):
                private = [alias.name for alias in names if alias.name.startswith("rrq_protocol.")]
                private = [each for each in private if each not in PUBLIC_SUBMODULES]
                findings += [f"{name}:{node.lineno}: {each} is private to its wheel" for each in private]
            case _:
                pass
    return findings
