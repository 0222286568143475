"""Resolve the whole workspace anew and write the versions into `[tool.uv] constraint-dependencies`.

The pins are names and versions only, for every supported Python and system at once. uv.lock holds more, and
names the index it was made from, so it stays out of the repository.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main", "pins", "with_pins"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?<=# lock: begin\n).*?(?=# lock: end\n)", re.DOTALL)


def pins(exported: str) -> list[str]:
    """Return one requirement per package version from the text of `uv export`.

    Markers stay only where a package has several versions; a constraint does not need to say who wants it.
    """
    lines = [
        line.strip()
        for line in exported.splitlines()
        if line.strip() and not line.startswith(("#", "-e", "."))
    ]
    versions: dict[str, set[str]] = {}
    for line in lines:
        requirement = line.partition(";")[0].strip()
        versions.setdefault(requirement.partition("==")[0], set()).add(requirement)
    found = {
        line if len(versions[line.partition("==")[0]]) > 1 else line.partition(";")[0].strip()
        for line in lines
    }
    return sorted(found)


def with_pins(pyproject: str, requirements: list[str]) -> str:
    """Return the root pyproject's text with its pins replaced.

    Raises:
        ValueError: The text has no `# lock: begin` and `# lock: end` lines.
    """
    body = "".join(f'    "{requirement}",\n' for requirement in requirements)
    text, count = BLOCK.subn(lambda _: f"constraint-dependencies = [\n{body}]\n", pyproject)
    if count != 1:
        raise ValueError(
            "pyproject.toml: expected one block between '# lock: begin' and '# lock: end', found none"
        )
    return text


def _resolve(uv: str) -> str:
    """Resolve a copy of the workspace without pins, so that a failure leaves nothing half-written."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        (copy / "pyproject.toml").write_text(with_pins((ROOT / "pyproject.toml").read_text(), []))
        for wheel in ROOT.glob("packages/*/pyproject.toml"):
            target = copy / wheel.relative_to(ROOT)
            target.parent.mkdir(parents=True)
            shutil.copy(wheel, target)
        export = [
            uv,
            "export",
            "--quiet",
            "--python",
            sys.executable,
            "--all-packages",
            "--all-groups",
            "--all-extras",
        ]
        export += ["--no-emit-workspace", "--no-hashes", "--no-annotate", "--no-header"]
        return subprocess.run(export, cwd=copy, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Rewrite the pins; return the exit code."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        print("lock: expected uv in .venv or on PATH, found none; run `make setup`", file=sys.stderr)
        return 1
    requirements = pins(_resolve(uv))
    path = ROOT / "pyproject.toml"
    path.write_text(with_pins(path.read_text(), requirements))
    (ROOT / "uv.lock").unlink(missing_ok=True)
    print(f"lock: {len(requirements)} versions pinned in pyproject.toml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
