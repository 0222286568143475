"""Medians, spreads, percentiles and the steady part of a run. Pure."""

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Sample", "Steady", "Summary", "percentile", "steady", "summary"]

STEADY_FROM, STEADY_TO = 0.2, 0.9


class Summary(NamedTuple):
    """Median and extremes of the rounds of one figure."""

    median: float
    low: float
    high: float


def summary(rounds: Sequence[float]) -> Summary:
    """Return the median and the extremes of at least one value."""
    return Summary(statistics.median(rounds), min(rounds), max(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


class Sample(NamedTuple):
    """What was seen at one moment.

    Attributes:
        at_s: Monotonic seconds.
        done: Jobs that have left their queue.
        cpu_s: CPU seconds used so far, by part of the system.
    """

    at_s: float
    done: float
    cpu_s: dict[str, float]


class Steady(NamedTuple):
    """The part of a run between 20 % and 90 % done.

    Attributes:
        jobs_per_s: Rate.
        cpu_us_per_job: CPU microseconds per job, by part of the system.
    """

    jobs_per_s: float
    cpu_us_per_job: dict[str, float]


def steady(samples: Sequence[Sample], total: int) -> Steady:
    """Return rate and cost between 20 % and 90 % of ``total`` jobs, interpolated between samples.

    Raises:
        ValueError: The samples do not reach 90 %.
    """
    first, last = _at(samples, STEADY_FROM * total), _at(samples, STEADY_TO * total)
    jobs = last.done - first.done
    cost = {
        part: (last.cpu_s[part] - first.cpu_s[part]) / jobs * 1e6
        for part in last.cpu_s
        if part in first.cpu_s
    }
    return Steady(jobs / (last.at_s - first.at_s), cost)


def _at(samples: Sequence[Sample], done: float) -> Sample:
    for before, after in itertools.pairwise(samples):
        if before.done <= done < after.done:
            share = (done - before.done) / (after.done - before.done)

            def between(a: float, b: float, share: float = share) -> float:
                return a + (b - a) * share

            cpu = {part: between(before.cpu_s.get(part, used), used) for part, used in after.cpu_s.items()}
            return Sample(between(before.at_s, after.at_s), done, cpu)
    raise ValueError(f"the samples do not pass {done:g} jobs")
