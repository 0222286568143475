"""`rrq runner conformance` as a process, with the transports of one runner side by side: it mostly waits."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["found", "judged"]

WITHIN_S = 280


def judged(
    command: str, kinds: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return what the checks say of a runner, by transport."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
    pairs = [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]
    started = {
        kind: subprocess.Popen(
            [
                *(sys.executable, "-m", "rrq_cli", "runner", "conformance", "--cmd", command),
                *("--transport", kind, "--timeout", "60", "--grace", "30", "--json", *pairs),
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
    documents: dict[str, dict[str, Any]] = {}
    try:
        for kind, process in started.items():
            out, err = process.communicate(timeout=WITHIN_S)
            assert err == "", err
            documents[kind] = json.loads(out)
            assert process.returncode == (0 if documents[kind]["conforms"] else 1)
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    return documents


def found(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what did not pass: the detail by check."""
    return {each["name"]: each["detail"] for each in document["checks"] if each["result"] != "pass"}
