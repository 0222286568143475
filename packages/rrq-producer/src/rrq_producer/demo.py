"""The producing part of the demo: one job for each Python file below a folder.

``python -m rrq_producer.demo --config rrq.toml [--files PATH] [--queue demo]`` enqueues ``analyse_source``
with ``{"path": …}`` for every ``.py`` file, by default of the interpreter's own standard library. A path that
is no UTF-8 has no JSON form; it travels as a ``file:`` URI, which the handler takes too. It writes one JSON
object per line: ``{"event": "enqueued", "count": …, "total": …}`` as it goes on, ``{"event": "done",
"total": …, "seconds": …}`` at the end. Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.
"""

import argparse
import json
import os
import stat
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rrq_producer.errors import RedisRefused
from rrq_producer.jobs import CHUNK_JOBS
from rrq_producer.producer import Producer
from rrq_protocol import Job, RRQError, SettingsError

__all__ = ["main", "path_text", "python_files"]

FUNCTION, MAX_RETRIES = "analyse_source", 3
OK, FAILED, CONFIGURATION = 0, 1, 78

_INSTALLED = frozenset({"site-packages", "dist-packages"})


def python_files(source: Path) -> list[str]:
    """Return the absolute paths of all ``.py`` files at or below ``source``, sorted.

    Links to folders are followed, each folder is visited once. Of the standard library, what is installed
    into it is left out.

    Raises:
        OSError: ``source`` cannot be read.
    """
    source = Path(os.path.abspath(source))  # noqa: PTH100 - resolve() would follow links
    if source.is_file():
        return [str(source)]
    list(source.iterdir())  # an unreadable folder is worth a message; os.walk leaves it out silently
    skipped = _INSTALLED if source.samefile(sysconfig.get_paths()["stdlib"]) else frozenset[str]()
    found: list[str] = []
    visited: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(source, followlinks=True):
        here = _stat(folder)
        if here is None or (here.st_dev, here.st_ino) in visited:
            folders.clear()
            continue
        visited.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if name not in skipped)
        found += [f"{folder}{os.sep}{name}" for name in names if name.endswith(".py")]
    return sorted(path for path in found if (made := _stat(path)) is not None and stat.S_ISREG(made.st_mode))


def _stat(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:  # gone meanwhile, a link to nowhere, or not for us to see
        return None


def path_text(path: str) -> str:
    """Return an absolute path as texts in JSON can hold it: as it is, or as a ``file:`` URI, byte by byte."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Enqueue the jobs and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rrq_producer.demo", description="Enqueue the demo's jobs."
    )
    parser.add_argument("--files", metavar="PATH", help="folder or file; default: the standard library")
    parser.add_argument("--config", metavar="FILE", help="settings; default: RRQ_CONFIG or ./rrq.toml")
    parser.add_argument("--queue", default="demo", help="queue of the jobs (default: demo)")
    given = parser.parse_args(arguments)
    try:
        _enqueue(Path(given.files or sysconfig.get_paths()["stdlib"]), given.config, given.queue)
    except (SettingsError, RedisRefused) as error:
        return _failed(str(error), CONFIGURATION)
    except RRQError as error:
        return _failed(str(error), FAILED)
    except BrokenPipeError:
        # Nobody reads any more; without this, the interpreter would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _failed(f"--files {given.files}: cannot be read: {error.strerror or error}", FAILED)
    except KeyboardInterrupt:
        return 130
    return OK


def _enqueue(source: Path, config: str | None, queue: str) -> None:
    with Producer.from_settings(config, queue_name=queue) as producer:
        paths = python_files(source)
        started = time.monotonic()
        for first in range(0, len(paths), CHUNK_JOBS):
            some = paths[first : first + CHUNK_JOBS]
            producer.enqueue_many(
                Job(FUNCTION, {"path": path_text(path)}, max_retries=MAX_RETRIES) for path in some
            )
            _say(event="enqueued", count=first + len(some), total=len(paths))
        _say(event="done", total=len(paths), seconds=round(time.monotonic() - started, 3))


def _say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"rrq: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
