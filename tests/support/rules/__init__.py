"""The rules that tests/architecture holds the repository to.

Each checker is a plain function that returns what is wrong, one line per finding, so that it can be shown to
catch a bad sample as well as to pass the good tree.
"""

from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "UPPER", "WHEELS", "source_files", "wheel_name"]

ROOT = Path(__file__).resolve().parents[3]
WHEELS = ("rrq_protocol", "rrq_producer", "rrq_runner", "rrq_orchestrator", "rrq_cli")
UPPER = WHEELS[1:]
PACKAGES = ROOT / "packages"


def wheel_name(package: str) -> str:
    """Return the distribution's name of an import package."""
    return package.replace("_", "-")


def source_files(package: str, pattern: str = "*.py") -> list[Path]:
    """Return a wheel's own files, sorted."""
    return sorted((PACKAGES / wheel_name(package) / "src" / package).rglob(pattern))
