"""``make goals``: measure what the command line names; exit code 1 if a goal is not met."""

import argparse
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Mapping

from support.goals import (
    clocks,
    deaths,
    endurance,
    failovers,
    fencing,
    redis_faults,
    scripts,
    storms,
    strangers,
)
from support.goals.report import Report
from support.redis_choice import for_most

__all__ = ["GOALS", "main"]

Measure = Callable[[Report, random.Random, int], None]

GOALS: Mapping[str, tuple[Measure, int]] = {
    "quiet": (endurance.quiet, 200_000),
    "stale": (scripts.stale, 500),
    "crash": (deaths.crash, 8),
    "supervised": (deaths.supervised, 8),
    "runner": (deaths.runner, 20),
    "reclaim": (scripts.reclaim, 10_000),
    "restarts": (redis_faults.restarts, 20),
    "storms": (storms.storms, 60),
    "failovers": (failovers.failovers, 100),
    "poison": (endurance.poison, 20),
    "load": (endurance.load, 30),
    "clock": (clocks.clock, 30),
    "stops": (deaths.stops, 200),
    "strangers": (strangers.strangers, 10_000),
    "calls": (scripts.calls, 20_000),
    "fencing": (fencing.fencing, 160),
    "beats": (scripts.beats, 10_000),
}
"""Measurements, each with its size in CI form: jobs, kills, rounds, turns, seconds or minutes."""


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="make goals", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(GOALS)} [all]")
    parser.add_argument(
        "--size", type=int, metavar="N", help="jobs, kills, rounds, turns, seconds or minutes"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), metavar="N")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in GOALS]:
        parser.error(f"no measurement is named {unknown[0]!r}; there are {', '.join(GOALS)}")
    print(f"seed {given.seed}, redis: {for_most()}")
    report = Report()
    for name in given.names or GOALS:
        measure, size = GOALS[name]
        began = time.monotonic()
        size = given.size or size
        print(f"\n{name}, size {size}", flush=True)
        measure(report, random.Random(f"{name}:{given.seed}"), size)
        took_s, (at_end, before, _) = time.monotonic() - began, os.getloadavg()
        print(f"  took {took_s:.0f} s; load {at_end:.1f}, over 5 min {before:.1f}", flush=True)
    for each in report.missed:
        print(f"not met: {each}", file=sys.stderr)
    return int(bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())
