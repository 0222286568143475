"""Run the Python blocks of one page in one namespace, as if typed one after another. Started by `session`.

Reads one JSON text per line from standard input, ``[page, line, code]``; answers each on the descriptor named
in the first argument with an empty line, or with the traceback as a JSON text. ``await`` may stand at the top
level.
"""

import ast
import asyncio
import inspect
import json
import sys
import traceback
import types
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Serve until standard input ends."""
    # Not "__main__": what a program does when it is run is for the blocks that run it.
    page = types.ModuleType("page")
    sys.modules["page"] = page
    sys.path[0] = str(Path.cwd())
    with open(int(sys.argv[1]), "w", buffering=1) as replies, asyncio.Runner() as loop:  # noqa: PTH123 - a descriptor
        for request in sys.stdin:
            name, line, code = json.loads(request)
            try:
                _run(name, line, code, page, loop)
            except Exception:  # noqa: BLE001 - whatever the page raises is the answer
                replies.write(json.dumps(traceback.format_exc()) + "\n")
            else:
                replies.write("\n")


def _run(name: str, line: int, code: str, page: types.ModuleType, loop: asyncio.Runner) -> None:
    # Moved down, so that tracebacks name the line in the page.
    text = "\n" * (line - 1) + code
    result = eval(compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), page.__dict__)
    if inspect.iscoroutine(result):
        loop.run(result)


if __name__ == "__main__":
    main()
