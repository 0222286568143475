"""`rrq runner conformance` as processes, many side by side: they mostly wait."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Judging", "found"]

WITHIN_S = 280


class Judging:
    """What the checks say of one runner, on several transports at a time; killed if it is not waited for.

    Args:
        command: Starts the runner.
        kinds: The transports.
        cwd: Where it runs.
    """

    def __init__(self, command: str, kinds: Sequence[str], cwd: Path) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
        self._started = {
            kind: subprocess.Popen(
                [
                    *(sys.executable, "-m", "rrq_cli", "runner", "conformance", "--cmd", command),
                    *("--transport", kind, "--timeout", "60", "--grace", "30", "--json"),
                ],
                cwd=cwd,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for kind in kinds
        }

    def documents(self) -> dict[str, dict[str, Any]]:
        """Wait for the checks to end, and return what they say by transport."""
        documents: dict[str, dict[str, Any]] = {}
        for kind, process in self._started.items():
            out, err = process.communicate(timeout=WITHIN_S)
            assert err == "", err
            documents[kind] = json.loads(out)
            assert process.returncode == (0 if documents[kind]["conforms"] else 1)
        return documents

    def end(self) -> None:
        """End what still runs."""
        for process in self._started.values():
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=WITHIN_S)


def found(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what did not pass: the detail by check."""
    return {each["name"]: each["detail"] for each in document["checks"] if each["result"] != "pass"}
