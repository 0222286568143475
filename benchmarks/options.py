"""The command line of the benchmarks."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["NAMES", "Options", "parse"]

NAMES = ("throughput", "latency", "enqueue", "idle", "growth", "cron", "requeue", "peers")
ROUNDS, ROUNDS_QUICK = 3, 1
SECONDS, SECONDS_QUICK = 5.0, 1.0


class Options(NamedTuple):
    """What to run and how long.

    Attributes:
        names: Benchmarks, in order.
        quick: Few jobs, one round: to see that everything works.
        rounds: Rounds per figure; the systems take turns within each.
        seconds: About how long one throughput measurement lasts.
        jobs: Jobs of every measurement; None for as many as ``seconds`` needs.
        peer: Whether the public RRQ is measured too.
        json: Where the figures go; None for a file in ``benchmarks/results``.
        plain: Print plain tables even where rich is installed.
    """

    names: tuple[str, ...]
    quick: bool = False
    rounds: int = ROUNDS
    seconds: float = SECONDS
    jobs: int | None = None
    peer: bool = True
    json: Path | None = None
    plain: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options; ends the program with a message where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure RRQ, beside the public RRQ in the same run. Prints tables, writes JSON.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} [default: all]", default=[]
    )
    parser.add_argument("--quick", action="store_true", help="few jobs and one round, to see that it works")
    parser.add_argument("--rounds", type=_count, metavar="N", help=f"rounds per figure [default: {ROUNDS}]")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"length of a throughput measurement [default: {SECONDS:g}]",
    )
    parser.add_argument("--jobs", type=_count, metavar="N", help="jobs per measurement, instead of --seconds")
    parser.add_argument("--no-peer", action="store_true", help="do not measure the public RRQ")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there")
    parser.add_argument("--plain", action="store_true", help="plain tables")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark is named {unknown[0]!r}; there are {', '.join(NAMES)}")
    return Options(
        names=tuple(given.names) or NAMES,
        quick=given.quick,
        rounds=given.rounds or (ROUNDS_QUICK if given.quick else ROUNDS),
        seconds=given.seconds or (SECONDS_QUICK if given.quick else SECONDS),
        jobs=given.jobs,
        peer=not given.no_peer,
        json=given.json,
        plain=given.plain,
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
