"""The files of a new project: settings, handlers, a producer. Pure, but for writing them.

Nothing of the user's is ever overwritten: if one of the files is there, none is written.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from rrq_cli.exits import fail

__all__ = ["FILES", "IGNORED", "write_project"]

_SETTINGS = """\
# Settings of the producer, the orchestrator, the runner and the rrq command alike.
[rrq]
redis_dsn = "embedded://.rrq"  # a server of this folder's own; or redis://localhost:6379/0

[rrq.runners.python]
app = "handlers:registry"
"""
_HANDLERS = '''\
"""What the jobs do."""

from rrq_runner import Context, Registry

registry = Registry()


@registry.handler("hello")
async def hello(ctx: Context, name: str) -> str:
    """Parameters are bound by name; what is returned becomes the job's result."""
    return f"Hello, {name}! This was attempt {ctx.attempt}."
'''
_ENQUEUE = '''\
"""Enqueue a job and wait for its result."""

from rrq_producer import Producer

with Producer.from_settings() as producer:
    job = producer.enqueue("hello", {"name": "World"})
    print(producer.wait(job.id, timeout=60).result)
'''
FILES = {"rrq.toml": _SETTINGS, "handlers.py": _HANDLERS, "enqueue.py": _ENQUEUE}
"""The files by name."""
IGNORED = ".rrq/"
"""What git should not see: the embedded server's data."""


def write_project(folder: Path, files: dict[str, str] = FILES) -> list[str]:
    """Write the files, and the line into ``.gitignore``; return the names of what was written or changed.

    Raises:
        CliError: One of the files is there, or the folder cannot be used; then nothing was written.
    """
    there = [name for name in files if os.path.lexists(folder / name)]
    if there:
        verb = "is" if len(there) == 1 else "are"
        fail(f"{_listed(there)} {verb} there already in {folder}: nothing was written")
    if os.path.lexists(folder) and not folder.is_dir():
        fail(f"{folder} is there already, and is no folder: name another one; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
        written.append(name)
    if _ignore(folder / ".gitignore"):
        written.append(".gitignore")
    return written


def _ignore(path: Path) -> bool:
    """Add the line to a ``.gitignore`` that has none like it; return whether it was added."""
    before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    if {line.strip().strip("/") for line in before.splitlines()} & {IGNORED.strip("/")}:
        return False
    gap = "" if not before or before.endswith("\n") else "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{gap}{IGNORED}\n")
    return True


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
