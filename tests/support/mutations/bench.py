"""Many trials, several at a time, each on a Redis that it has to itself meanwhile."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from support.mutations.mutant import Mutant
from support.mutations.trials import Trial, Trials, Verdict

__all__ = ["TrialBench"]

T = TypeVar("T")


class TrialBench:
    """Tries mutants in the background from the beginning of the block on.

    Args:
        mutants: What is tried.
        urls: The Redis servers; as many trials run at a time.
        seed: Of the runs' random choices.
    """

    def __init__(self, mutants: Sequence[Mutant], urls: Sequence[str], seed: str) -> None:
        self._mutants = mutants
        self._trials = Trials(seed)
        self._urls: queue.SimpleQueue[str] = queue.SimpleQueue()
        for url in urls:
            self._urls.put(url)
        self._threads = ThreadPoolExecutor(len(urls))

    def __enter__(self) -> Self:
        trials, mutants = self._trials, self._mutants
        self._baseline = self._threads.submit(self._with_url, lambda url: trials.baseline(mutants, url))
        self._verdicts: dict[str, Future[Verdict]] = {}
        for mutant in mutants:

            def trial(url: str, mutant: Mutant = mutant) -> Verdict:
                return trials.mutant(mutant, url)

            self._verdicts[mutant.tag] = self._threads.submit(self._with_url, trial)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._trials.close()
        self._threads.shutdown()

    def baseline(self) -> Trial:
        """Return how the tests of all the mutants fare without any."""
        return self._baseline.result()

    def verdict(self, mutant: Mutant) -> Verdict:
        """Return what became of a mutant.

        Raises:
            Stale: The code it wants to change is not there.
        """
        return self._verdicts[mutant.tag].result()

    def _with_url(self, trial: Callable[[str], T]) -> T:
        url = self._urls.get()
        try:
            return trial(url)
        finally:
            self._urls.put(url)
