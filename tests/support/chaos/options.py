"""The command line of the bench."""

import argparse
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["KINDS", "LONG", "SHORT", "Options", "parse", "replaced"]


KINDS: Mapping[str, float] = {
    "orchestrator.kill": 6,
    "orchestrator.pause": 3,
    "orchestrator.drain": 2,
    "runner.kill": 6,
    "producer.kill": 3,
    "redis.kill": 2,
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
"""Kinds of faults and how often they come, relative to each other."""


class Options(msgspec.Struct, frozen=True):
    """What one round is like, and for how long rounds are run.

    Attributes:
        seed: What the schedule of faults and the jobs follow from.
        jobs: Jobs to be acknowledged in a round.
        faults: Faults in a round.
        hours: Rounds are begun for so long; 0 for a single one.
        orchestrators: How many at a time; the last one reaches Redis through a proxy.
        producers: How many at a time; likewise.
        lease_s: Their lease.
        beat_s: How often it is renewed.
        max_crashes: Deaths after which a job is dead-lettered; more than faults are likely to hit one job.
        faults_per_second: How fast faults follow each other.
        fsync: When Redis writes its append-only file to disk: ``always`` or ``everysec``. With the latter a
            killed server may lose what it acknowledged while it waited for the disk, and the judge says so.
        kinds: Only faults whose kind starts with one of these; all, if empty.
    """

    seed: int
    jobs: int = 2500
    faults: int = 26
    hours: float = 0.0
    orchestrators: int = 3
    producers: int = 3
    lease_s: float = 1.5
    beat_s: float = 0.3
    max_crashes: int = 5
    faults_per_second: float = 1.0
    fsync: str = "always"
    kinds: tuple[str, ...] = ()

    @property
    def span_s(self) -> float:
        """How long faults go on."""
        return self.faults / self.faults_per_second

    def repeat(self) -> str:
        """Return the command that repeats the choices of such a round."""
        words = [f"--seed {self.seed} --jobs {self.jobs} --faults {self.faults}"]
        defaults = Options(0)
        for name, flag in (("lease_s", "lease"), ("beat_s", "beat"), ("faults_per_second", "rate")):
            if getattr(self, name) != getattr(defaults, name):
                words.append(f"--{flag} {getattr(self, name):g}")
        if self.fsync != defaults.fsync:
            words.append(f"--fsync {self.fsync}")
        if self.kinds:
            words.append(f"--only {','.join(self.kinds)}")
        return f'make chaos ARGS="{" ".join(words)}"'


SHORT, LONG = Options(0), Options(0, jobs=20_000, faults=160, hours=1.0, max_crashes=8, faults_per_second=0.8)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options; ends the program with a message where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="make chaos",
        description="Put real processes under random faults and see that no job is lost.",
    )
    parser.add_argument(
        "--long", action="store_true", help="rounds of 20,000 jobs and 160 faults, for an hour"
    )
    parser.add_argument("--hours", type=_positive, metavar="H", help="begin rounds for so long [--long: 1]")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat the choices of a run")
    parser.add_argument("--jobs", type=_count, metavar="N", help="jobs of a round [2500]")
    parser.add_argument("--faults", type=_count, metavar="N", help="faults of a round [26]")
    parser.add_argument("--rate", type=_positive, metavar="R", help="faults a second [1]")
    parser.add_argument("--lease", type=_positive, metavar="S", help="lease of the orchestrators [1.5]")
    parser.add_argument("--beat", type=_positive, metavar="S", help="how often it is renewed [a fifth of it]")
    parser.add_argument(
        "--only", type=_kinds, metavar="KINDS", help="only such faults, e.g. orchestrator.kill,redis"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), help="of Redis [always]")
    given = parser.parse_args(arguments)
    options = LONG if given.long else SHORT
    lease_s = given.lease or options.lease_s
    return replaced(
        options,
        seed=secrets.randbelow(2**31) if given.seed is None else given.seed,
        hours=given.hours or options.hours,
        jobs=given.jobs or options.jobs,
        faults=given.faults or options.faults,
        faults_per_second=given.rate or options.faults_per_second,
        lease_s=lease_s,
        beat_s=given.beat or lease_s / 5,
        fsync=given.fsync or options.fsync,
        kinds=given.only or (),
    )


def replaced(options: Options, **changes: Any) -> Options:
    """Return the options with some changed."""
    changed: Options = msgspec.structs.replace(options, **changes)
    return changed


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    for kind in kinds:
        if not any(each.startswith(kind) for each in KINDS):
            raise argparse.ArgumentTypeError(f"expected beginnings of {', '.join(KINDS)}, got {kind!r}")
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
