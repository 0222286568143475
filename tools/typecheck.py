"""Run mypy over sources and tests.

Several runs, because the wheels' tests mirror their modules: `test_main.py` may exist in two wheels, and mypy
knows a module by its name alone. The runs share one cache.
"""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["main", "runs"]

ROOT = Path(__file__).resolve().parent.parent


def runs(root: Path) -> list[tuple[Path, list[Path]]]:
    """Return the runs needed: the folder that module names start from, and what is checked there."""
    wheels = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
    found = [(root, [root / "conftest.py", *sorted(root.glob("tools/*.py")), root / "benchmarks"])]
    found += [(wheel / "src", [wheel / "src"]) for wheel in wheels]
    found += [(wheel / "tests", [wheel / "tests"]) for wheel in wheels]
    found.append((root / "tests", [root / "tests"]))
    return [
        (base, existing)
        for base, paths in found
        if (existing := [path for path in paths if _has_python(path)])
    ]


def _has_python(path: Path) -> bool:
    return path.is_file() or next(path.rglob("*.py"), None) is not None


def main() -> int:
    """Check everything, report all findings, return the exit code."""
    sources = [base for base, _ in runs(ROOT) if base.name == "src"]
    tests = ROOT / "tests"
    # All sources in one run, each of the others in its own.
    plan = [(sources, sources), *(([base], paths) for base, paths in runs(ROOT) if base.name != "src")]
    failed = False
    for bases, paths in plan:
        names = [str(path.relative_to(ROOT)) for path in paths]
        print("mypy", *names, flush=True)
        # The wheels' tests and the root conftest may use the helpers in tests/support.
        path = os.pathsep.join(map(str, dict.fromkeys([*bases, *sources, tests])))
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *names],
            cwd=ROOT,
            env={**os.environ, "MYPYPATH": path},
            check=False,
        )
        failed = failed or done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
