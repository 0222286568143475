"""Crash points: where a test can have a process die or freeze (RELIABILITY.md 3.1).

``RRQ_CRASH_AT=<label>[:n]`` has the process send itself SIGKILL when it reaches the label for the n-th time,
the first by default; ``RRQ_PAUSE_AT`` SIGSTOP. A runner process is told in its own settings (``env``).
Labels stand around every script call, every other command that any part of RRQ sends to Redis, and every
frame at both ends:

=====================  =====================================================================================
label                  where
=====================  =====================================================================================
``<script>.before``    the call is about to be sent
``<script>.after``     its reply is there and nothing was done with it yet
``<command>.before``   a plain command (``blpop``, ``hmget``, ``zrange``, ``wait``, ``subscribe``, ...) of an
                       orchestrator, a producer or the command line is about to be sent, alone or in a
                       pipeline with others; also those by which a connection introduces itself
                       (``client``, ``select``, ``auth``)
``<command>.after``    its reply is there and nothing was done with it yet
``frames.before``      frames are about to be written to a runner
``frames.after``       they were written
``response.before``    bytes of a runner are there and nothing was done with them yet
``response.after``     what they hold was handed on
``request.before``     in a runner: bytes of an orchestrator are there and nothing was done with them yet
``request.after``      in a runner: what they ask for has begun
``answers.before``     in a runner: frames are about to be written to the orchestrator
``answers.after``      in a runner: they were written
=====================  =====================================================================================

Only a checkout does this: a built wheel lacks the file :mod:`rrq_protocol._checkout`, and the variables mean
nothing to it.
"""

import os
import signal
from collections.abc import Callable, Mapping
from importlib.util import find_spec

__all__ = ["make_reach", "reach"]

_SIGNALS = {"RRQ_CRASH_AT": signal.SIGKILL, "RRQ_PAUSE_AT": getattr(signal, "SIGSTOP", signal.SIGTERM)}


def make_reach(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    """Return what is called with each label that is reached; None if nobody asked for it, or in a wheel."""
    wanted = [(environ[name], number) for name, number in _SIGNALS.items() if environ.get(name)]
    if not wanted or find_spec("rrq_protocol._checkout") is None:
        return None
    left: dict[str, list[tuple[int, signal.Signals]]] = {}
    for text, number in wanted:
        label, _, times = text.partition(":")
        left.setdefault(label, []).append((int(times or 1), number))
    seen = dict.fromkeys(left, 0)

    def reach(label: str) -> None:
        if label in left:
            seen[label] += 1
            for times, number in left[label]:
                if seen[label] == times:
                    os.kill(os.getpid(), number)

    return reach


reach = make_reach(os.environ)
"""None in ordinary life; look before calling."""
