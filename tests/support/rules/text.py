"""Rules about text: what no tracked file may name, Lua headers, and the table of dependencies."""

import re
import subprocess
import tomllib
from pathlib import Path

__all__ = ["dependency_names", "forbidden_words", "header_problems", "tracked_files", "undocumented"]

# Spelled in parts, so that this file passes its own rule. Registries are a matter of the machine's settings,
# and a path of one machine means nothing on another.
_FORBIDDEN = re.compile(
    "|".join(
        (
            "py" + r"pi\.org",
            "python" + "hosted",
            "npm" + r"js\.",
            "crates" + r"\.io/",
            "index" + r"\.crates",
            "proxy" + r"\.golang",
            "deb" + r"\.debian",
            "/ro" + "ot/",
            "/wo" + "rk/",
        )
    )
)


def tracked_files(root: Path) -> list[Path]:
    """Return the files that git tracks or would track, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
    )
    files = (root / name.decode() for name in listed.stdout.split(b"\0") if name)
    return sorted(path for path in files if path.is_file())


def forbidden_words(name: str, content: bytes) -> list[str]:
    """Return the lines of a text file that name a registry's host or a path of one machine; none for binary
    files.
    """
    if b"\0" in content:
        return []
    lines = content.decode(errors="replace").splitlines()
    return [
        f"{name}:{number}: names {found[0]}"
        for number, line in enumerate(lines, 1)
        if (found := _FORBIDDEN.search(line))
    ]


def header_problems(name: str, text: str) -> list[str]:
    """Return what a Lua script's header lacks: name, keys, arguments, what it returns, invariant."""
    header = re.match(r"--\[\[\n(?P<body>.*?)\n\]\]\n", text, re.DOTALL)
    if header is None:
        return [f"{name}: expected a header from --[[ to ]] on the first lines"]
    body = header["body"]
    missing = []
    if not body.startswith(f"{name.removesuffix('.lua')}: "):
        missing.append(
            f"{name}: expected the header to start with '{name.removesuffix('.lua')}: ' and what it does"
        )
    if "/" in name:
        # An include is a part of the scripts that name it; their headers tell the rest.
        return missing
    words = {
        "KEYS": r"^(KEYS\[|No keys)",
        "ARGV": r"^(ARGV\[|No arguments)",
        "Returns": r"^Returns ",
        "Invariant": r"^Invariant: ",
    }
    missing += [
        f"{name}: expected a line about {word}"
        for word, line in words.items()
        if not re.search(line, body, re.MULTILINE)
    ]
    return missing


def dependency_names(pyproject: str) -> list[str]:
    """Return the names of everything that a wheel requires, extras included, without the project's own
    wheels.
    """
    project = tomllib.loads(pyproject)["project"]
    requirements = list(project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        requirements += extra
    names = {re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return sorted(name for name in names if not name.startswith("rrq-"))


def undocumented(names: list[str], table: str) -> list[str]:
    """Return the dependencies that have no row in the Markdown table of docs/adr/0002-dependencies.md."""
    rows = {match.lower() for match in re.findall(r"^\| `([A-Za-z0-9._-]+)", table, re.MULTILINE)}
    return [
        f"{name}: expected a row in docs/adr/0002-dependencies.md that says why it is needed"
        for name in names
        if name not in rows
    ]
