"""Our own runner passes, on every transport."""

import shlex
import sys
from pathlib import Path

from support.conformance import found, judged

HERE = Path(__file__).parent


def test_the_python_runner_conforms() -> None:
    """No check finds anything, nor has anything to note."""
    command = shlex.join([sys.executable, "-m", "rrq_runner", "--settings", "python_runner_app:settings"])
    documents = judged(command, ["unix", "tcp", "stdio"], HERE)
    assert {kind: found(document) for kind, document in documents.items()} == {
        "unix": {},
        "tcp": {},
        "stdio": {},
    }
