"""The command line of the bench."""

import argparse
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["KILLS", "KINDS", "LONG", "LONG_LEASE_S", "SMALL", "Options", "parse", "replaced"]


KILLS: Mapping[str, float] = {
    "orchestrator.kill": 40,
    "runner.kill": 74,
    "producer.kill": 28,
    "redis.kill": 8,
}
"""Kinds of kill -9 and how often they come, relative to each other."""

KINDS: Mapping[str, float] = {
    "orchestrator.pause": 3,
    "orchestrator.drain": 3,
    "redis.restart": 1,
    "redis.pause": 1,
    "redis.full": 2,
    "redis.script_flush": 2,
    "redis.client_kill": 2,
    "redis.client_pause": 1,
    "network.cut": 2,
    "network.refuse": 1,
    "network.black_hole": 1,
    "network.deaf": 1,
    "network.cut_replies": 2,
    "network.half_replies": 1,
    "network.silence": 1,
}
"""Kinds of all other faults, likewise."""

LONG_LEASE_S = 10.0
"""From this lease on, the default, times are judged as well: they are what is promised."""

_FLAGS = (
    ("jobs", "jobs"),
    ("kills", "kills"),
    ("faults", "faults"),
    ("span_s", "span"),
    ("limit_s", "limit"),
    ("orchestrators", "orchestrators"),
    ("lease_s", "lease"),
    ("beat_s", "beat"),
    ("unrest", "unrest"),
    ("max_crashes", "crashes"),
    ("fsync", "fsync"),
)


class Options(msgspec.Struct, frozen=True):
    """What one round is like, and for how long rounds are run. As it stands, the form that CI runs.

    Attributes:
        seed: What the schedule of faults and the jobs follow from.
        jobs: Jobs to be acknowledged in a round.
        kills: How often SIGKILL is sent in a round.
        faults: All other faults in a round.
        hours: Rounds are begun for so long; 0 for a single one.
        span_s: How long the faults of a round take on a machine that keeps up. Faults and jobs wait for each
            other, so they are as dense on a slow one, and take longer.
        limit_s: When they are given up: what is missing then is told as a failure.
        orchestrators: How many at a time; the last one reaches Redis through a proxy.
        producers: How many at a time; likewise.
        lease_s: Their lease.
        beat_s: How often it is renewed.
        unrest: The share of a round in which Redis and the network have faults, from its beginning. With a
            lease of seconds nobody could be declared dead, and no time be taken, while they do: silence
            counts from the end of the last outage.
        max_crashes: Deaths after which a job is dead-lettered; more than faults are likely to hit one job.
        fsync: When Redis writes its append-only file to disk: ``always`` or ``everysec``. With the latter a
            killed server may lose what it acknowledged while it waited for the disk, and the judge says so.
        kinds: Only faults whose kind starts with one of these; all, if empty.
    """

    seed: int
    jobs: int = 20_000
    kills: int = 150
    faults: int = 24
    hours: float = 0.0
    span_s: float = 120.0
    limit_s: float = 420.0
    orchestrators: int = 5
    producers: int = 3
    lease_s: float = 10.0
    beat_s: float = 2.0
    unrest: float = 0.35
    max_crashes: int = 6
    fsync: str = "always"
    kinds: tuple[str, ...] = ()

    @property
    def judges_times(self) -> bool:
        """Whether its lease is one of production."""
        return self.lease_s >= LONG_LEASE_S

    def wants(self, kind: str) -> bool:
        """Whether faults of this kind are among those chosen."""
        return not self.kinds or kind.startswith(self.kinds)

    def repeat(self) -> str:
        """Return the command that repeats the choices of such a round."""
        words = [f"--seed {self.seed}"]
        defaults = Options(0)
        for name, flag in _FLAGS:
            value = getattr(self, name)
            if value != getattr(defaults, name):
                words.append(f"--{flag} {value if isinstance(value, str) else format(value, 'g')}")
        if self.kinds:
            words.append(f"--only {','.join(self.kinds)}")
        return f'make chaos ARGS="{" ".join(words)}"'


SMALL = Options(
    0,
    jobs=2500,
    kills=10,
    faults=20,
    span_s=26.0,
    limit_s=300.0,
    orchestrators=3,
    lease_s=1.5,
    beat_s=0.3,
    unrest=1.0,
    max_crashes=5,
)
LONG = msgspec.structs.replace(
    SMALL, jobs=20_000, kills=80, faults=80, span_s=200.0, limit_s=2000.0, max_crashes=8, hours=1.0
)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options; ends the program with a message where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="make chaos",
        description="Put real processes under random faults and see that no job is lost.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--small", action="store_true", help="2,500 jobs, a short lease, half a minute")
    form.add_argument(
        "--long", action="store_true", help="rounds of 20,000 jobs and 160 faults, a short lease, for an hour"
    )
    parser.add_argument("--hours", type=_positive, metavar="H", help="begin rounds for so long [--long: 1]")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat the choices of a run")
    parser.add_argument("--jobs", type=_count, metavar="N", help="jobs of a round [20000]")
    parser.add_argument("--kills", type=_count, metavar="N", help="kill -9 in a round [150]")
    parser.add_argument("--faults", type=_count, metavar="N", help="other faults in a round [24]")
    parser.add_argument(
        "--span", dest="span_s", type=_positive, metavar="S", help="over so many seconds, or more [120]"
    )
    parser.add_argument(
        "--limit", dest="limit_s", type=_positive, metavar="S", help="give up after so many [420]"
    )
    parser.add_argument("--orchestrators", type=_count, metavar="N", help="orchestrators at a time [5]")
    parser.add_argument(
        "--lease", dest="lease_s", type=_positive, metavar="S", help="lease of the orchestrators [10]"
    )
    parser.add_argument(
        "--beat", dest="beat_s", type=_positive, metavar="S", help="how often it is renewed [a fifth of it]"
    )
    parser.add_argument(
        "--unrest",
        type=_positive,
        metavar="X",
        help="share of a round with faults of Redis and network [0.35]",
    )
    parser.add_argument(
        "--crashes", dest="max_crashes", type=_count, metavar="N", help="deaths a job may cause [6]"
    )
    parser.add_argument(
        "--only", dest="kinds", type=_kinds, metavar="KINDS", help="only such faults, e.g. runner.kill,redis"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), help="of Redis [always]")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    options = LONG if given.pop("long") else SMALL if given.pop("small") else Options(0)
    given.pop("small", None)
    if "lease_s" in given:
        given.setdefault("beat_s", given["lease_s"] / 5)
    return replaced(options, **{"seed": secrets.randbelow(2**31), **given})


def replaced(options: Options, **changes: Any) -> Options:
    """Return the options with some changed."""
    changed: Options = msgspec.structs.replace(options, **changes)
    return changed


def _kinds(text: str) -> tuple[str, ...]:
    kinds, every = tuple(text.split(",")), (*KILLS, *KINDS)
    for kind in kinds:
        if not any(each.startswith(kind) for each in every):
            raise argparse.ArgumentTypeError(f"expected beginnings of {', '.join(every)}, got {kind!r}")
    return kinds


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected more than 0, got {text}")
    return value
