"""The demo's guard: ends what the demo started when the demo itself is killed outright.

Run by file name with the standard library only: ``python -I -S guard.py``. Each line of stdin is an order:

* ``group <pid>``: a process group exists; it is ended. ``await <pid>``: one exists that ends by itself and
  must not be cut short. ``gone <pid>``: it has ended.
* ``stop <JSON list>``: a command to run in the end. ``keep``: it is not to be run after all.

When stdin closes, whatever is still known is ended. After an orderly run that is nothing.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

__all__ = ["end_groups", "main"]

GRACE_S = 6.0
AWAITED_S = 20.0
_POLL_S = 0.02


def main() -> None:
    """Listen until the demo is gone, then clear up."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    groups: list[int] = []
    awaited: list[int] = []
    stop: list[str] = []
    for line in sys.stdin:
        order, _, rest = line.strip().partition(" ")
        if order == "group":
            groups.append(int(rest))
        elif order == "await":
            awaited.append(int(rest))
        elif order == "gone":
            (awaited if int(rest) in awaited else groups).remove(int(rest))
        elif order == "stop":
            stop = json.loads(rest)
        elif order == "keep":
            stop = []
    _wait_for(awaited, AWAITED_S)
    end_groups([*groups, *awaited], GRACE_S)
    if stop:
        quiet = subprocess.DEVNULL
        subprocess.run(stop, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=30)


def end_groups(groups: list[int], grace_s: float) -> None:
    """Ask process groups to end, and kill those that have not after the grace."""
    for group in groups:
        _signal(group, signal.SIGTERM)
    _wait_for(groups, grace_s)
    for group in groups:
        _signal(group, signal.SIGKILL)


def _wait_for(groups: list[int], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while any(_exists(group) for group in groups) and time.monotonic() < give_up:
        time.sleep(_POLL_S)


def _signal(group: int, name: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, name)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
