"""Running a target: corpus first, then mutations; counting, watching, and reporting what fails."""

import gc
import os
import random
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

from support.fuzzing.corpus import CORPUS, read_corpus
from support.fuzzing.shapes import Shape

__all__ = ["CI_COUNT", "Fuzz", "FuzzFailure", "Hang", "Report", "rss_bytes"]

T = TypeVar("T")
Check = Callable[[T], Iterable[Hashable]]
"""Raises if something is wrong with an input, else returns what was seen of the code: the outcomes."""

CI_COUNT = 300_000
"""Frames in CI (RELIABILITY.md G15); each target runs a share of ``RRQ_FUZZ_COUNT``."""

CPU_LIMIT_S = 5.0
"""Processor time, not time on the wall, after which an input counts as a hang. Ordinary ones take 0.1 ms."""

MAX_GROWTH_BYTES = 20 * 1024 * 1024
_POOL = 512
_POOL_BYTES = 2048
_WARM_UP = 0.2


class Hang(BaseException):
    """An input took too much processor time. No handler of the code under test is to swallow it."""


class FuzzFailure(AssertionError):
    """An input for which the check raised; the text has the smallest such input and how to run it again."""


@dataclass
class Report:
    """What a run did.

    Attributes:
        target: Its name.
        seed: What repeats it.
        inputs: Inputs checked, corpus included.
        outcomes: How often each outcome was seen.
    """

    target: str
    seed: int
    inputs: int = 0
    outcomes: Counter[Hashable] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return one line for the terminal."""
        return (
            f"fuzz {self.target}: {self.inputs:,} inputs, {len(self.outcomes):,} outcomes, seed {self.seed}"
        )


def rss_bytes() -> int | None:
    """Return the resident memory of this process, None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched(limit_s: float) -> Iterator[Callable[[], object]]:
    """Raise :class:`Hang` once ``limit_s`` of processor time have passed since the last call of the
    result."""

    def expired(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"more than {limit_s:g} s of processor time for one input")

    before = signal.signal(signal.SIGVTALRM, expired)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Fuzz:
    """Runs the target of one test.

    Args:
        test: The test, as pytest names it.
        count: Frames; targets run shares of it.
        seed: Where randomness comes from; the name of the target is mixed in.
        only: One input to run, and no other.
        corpus: The folder of all corpora.
        say: Takes the line about a finished run.
    """

    def __init__(
        self,
        test: str,
        *,
        count: int,
        seed: int,
        only: bytes | None = None,
        corpus: Path = CORPUS,
        say: Callable[[str], object] = print,
    ) -> None:
        self.test, self.count, self.seed, self.only = test, count, seed, only
        self.corpus, self.say = corpus, say

    def run(
        self,
        target: str,
        shape: Shape[T],
        check: Check[T],
        *,
        share: float = 1.0,
        corpora: Sequence[str] = (),
        limit_s: float = CPU_LIMIT_S,
        tries: int = 3000,
    ) -> Report:
        """Check the corpus and its mutations.

        Args:
            target: Name of the target, and of its corpus folder.
            shape: What an input is.
            check: Raises if something is wrong with an input, else returns the outcomes.
            share: How many inputs, as a part of the count.
            corpora: Corpus folders, if others or more than the target's own.
            limit_s: Processor time one input may take.
            tries: Inputs to try when looking for the smallest one that fails.

        Raises:
            FuzzFailure: The check raised, or memory grew without bound.
        """
        __tracebackhide__ = True
        report = Report(target, self.seed)
        self._tries = tries
        with watched(limit_s) as rearm:
            if self.only is not None:
                report.outcomes.update(check(shape.read(self.only)))
                report.inputs = 1
            else:
                own = [entry for each in corpora or (target,) for entry in read_corpus(each, self.corpus)]
                cases = [shape.read(entry.data) for entry in own]
                self._run(shape, check, report, cases, round(self.count * share), rearm)
        self.say(str(report))
        return report

    def _run(
        self,
        shape: Shape[T],
        check: Check[T],
        report: Report,
        pool: list[T],
        count: int,
        rearm: Callable[[], object],
    ) -> None:
        __tracebackhide__ = True
        rng = random.Random(self.seed ^ zlib.crc32(report.target.encode()))
        own = len(pool)
        inputs = _inputs(pool, shape, rng, max(count, own))
        warm, base = own + int(_WARM_UP * count), None
        for case in inputs:
            rearm()
            try:
                outcomes = check(case)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise self._failure(shape, check, report, case, error, rearm) from error
            report.inputs += 1
            known = len(report.outcomes)
            report.outcomes.update(outcomes)
            if len(report.outcomes) > known and report.inputs > own:
                self._keep(pool, own, shape, case, rng)
            if report.inputs == warm:
                base = _settled_rss()
        _check_growth(report, base)

    def _keep(self, pool: list[T], own: int, shape: Shape[T], case: T, rng: random.Random) -> None:
        """Let an input of a new outcome be one that others are made of; the corpus itself always stays."""
        data = _written(shape, case)
        if data is None or len(data) > _POOL_BYTES:
            return
        if len(pool) < own + _POOL:
            pool.append(case)
        else:
            pool[own + int(rng.random() * _POOL)] = case

    def _failure(
        self,
        shape: Shape[T],
        check: Check[T],
        report: Report,
        case: T,
        error: BaseException,
        rearm: Callable[[], object],
    ) -> FuzzFailure:
        smallest, last = smallest_failing(shape, check, case, error, self._tries, rearm)
        data = _written(shape, smallest) or b""
        what = (
            f"RRQ_FUZZ_INPUT={data.hex()}"
            if data
            else f"RRQ_FUZZ_SEED={self.seed} RRQ_FUZZ_COUNT={self.count}"
        )
        return FuzzFailure(
            f"fuzz {report.target}: input {report.inputs + 1} failed, seed {self.seed}, count {self.count}\n"
            f"{type(last).__name__}: {ascii(str(last))[1:-1][:2000]}\n"
            f"smallest input ({len(data)} bytes): {data[:400]!r}\n"
            f"again: {what} .venv/bin/python -m pytest '{self.test}'\n"
            f"keep it as tests/fuzz/corpus/{report.target}/<what it breaks>.hex or .json"
        )


def _written(shape: Shape[T], case: T) -> bytes | None:
    try:
        return shape.write(case)
    except RecursionError:  # deeper than the text form can be
        return None


def _inputs(pool: list[T], shape: Shape[T], rng: random.Random, count: int) -> Iterator[T]:
    """Yield the corpus, then mutations of the pool, which may grow meanwhile."""
    corpus = list(pool)
    yield from corpus
    pick = rng.random
    for _ in range(count - len(corpus)):
        # Most of what joined the pool is wrong somewhere already, and would be refused there again.
        first = corpus if pick() < 0.6 else pool
        yield shape.mutated(first[int(pick() * len(first))], pool[int(pick() * len(pool))], rng)


def smallest_failing(
    shape: Shape[T],
    check: Check[T],
    case: T,
    error: BaseException,
    tries: int,
    rearm: Callable[[], object] = lambda: None,
) -> tuple[T, BaseException]:
    """Return the smallest input found that fails like ``case``, and its error.

    It fails alike when the same line raises the same type. The search is bounded by a number of tries.
    """
    wanted, left = _signature(error), min(50, tries) if isinstance(error, Hang) else tries
    progress = True
    while progress and left > 0:
        progress = False
        for less in shape.smaller(case):
            if left <= 0:
                break
            left -= 1
            rearm()
            try:
                check(less)
            except Exception as other:  # noqa: BLE001 - any failure is what is looked for
                if _signature(other) == wanted:
                    case, error, progress = less, other, True
                    break
            except Hang as other:
                if _signature(other) == wanted:
                    case, error, progress = less, other, True
                    break
    return case, error


def _signature(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, Hang):
        return (Hang,)
    place: TracebackType | None = error.__traceback__
    last = None
    while place is not None:
        last, place = (place.tb_frame.f_code.co_filename, place.tb_lineno), place.tb_next
    return type(error), last


def _settled_rss() -> int | None:
    gc.collect()
    return rss_bytes()


def _check_growth(report: Report, base: int | None) -> None:
    now = _settled_rss() if base is not None else None
    if base is None or now is None:
        return
    grown = now - base
    if grown > MAX_GROWTH_BYTES:
        raise FuzzFailure(
            f"fuzz {report.target}: resident memory grew by {grown:,} bytes over the run, "
            f"{MAX_GROWTH_BYTES:,} are allowed; seed {report.seed}"
        )
