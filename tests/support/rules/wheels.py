"""Rules about what a wheel brings when it is built, and when it is imported."""

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from support.rules import PACKAGES, wheel_name

__all__ = ["build", "content_problems", "loaded_by", "wheel_files"]


def build(package: str, folder: Path) -> Path:
    """Build the wheel of an import package into a folder and return its file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    source = PACKAGES / wheel_name(package)
    done = subprocess.run(
        command, cwd=source, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    (built,) = folder.glob(f"{package}-*.whl")
    return built


def wheel_files(wheel: Path) -> list[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def content_problems(package: str, files: list[str], source: Path) -> list[str]:
    """Return what a wheel lacks or brings too much of.

    Args:
        package: Its import package.
        files: The names of the files in it.
        source: The import package's folder in the tree.
    """
    present = set(files)
    wanted = {
        f"{package}/py.typed",
        *(f"{package}/{path.relative_to(source).as_posix()}" for path in source.rglob("*.lua")),
    }
    findings = [f"{package}: expected {name} in the wheel" for name in sorted(wanted - present)]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in files):
        findings.append(f"{package}: expected the licence in the wheel")
    for name in files:
        parts = PurePosixPath(name).parts
        own = parts[0] == package or parts[0].endswith(".dist-info")
        if not own or "tests" in parts or parts[-1] in ("conftest.py", "_checkout.py"):
            findings.append(f"{package}: {name} does not belong into the wheel")
    return findings


def loaded_by(statement: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter has loaded after a statement, beyond those it
    starts with.
    """
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    # -I: neither the environment nor the current folder decides what is imported.
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, stdout=subprocess.PIPE, text=True
    )
    return set(done.stdout.split())
