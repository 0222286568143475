"""What all benchmarks share: the server, the systems, the options, and one measurement of a steady rate."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.numbers import Sample, Steady, steady
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError, cpu_s, tail
from benchmarks.report import Report, number
from benchmarks.screen import Progress
from benchmarks.server import Server
from benchmarks.systems import Load, Orchestrator, System

__all__ = ["Bench"]

POLL_S = 0.05
STALLED_AFTER_S = 60.0
FEWEST_JOBS, MOST_JOBS = 40, 200_000


class Bench:
    """One run of the benchmarks.

    Attributes:
        server: The Redis of the run.
        systems: What is measured; they take turns in this order.
        options: The command line.
        report: Where figures go.
        progress: Where progress is shown.
        folder: For settings and logs.
    """

    def __init__(
        self,
        server: Server,
        systems: Sequence[System],
        options: Options,
        report: Report,
        progress: Progress,
        folder: Path,
    ) -> None:
        self.server, self.systems, self.options = server, systems, options
        self.report, self.progress, self.folder = report, progress, folder
        self._rates: dict[tuple[str, str], float] = {}

    def turns(self, case: str, systems: Sequence[System] | None = None) -> Iterator[tuple[System, str]]:
        """Serve each round's systems in turn on an empty server, with what to call the step."""
        chosen = self.systems if systems is None else systems
        for number_ in range(1, self.options.rounds + 1):
            for system in chosen:
                self.server.empty()
                yield system, f"{case} · {system.name} · round {number_} of {self.options.rounds}"

    def jobs(self, system: System, load: Load, case: str) -> int:
        """Return how many jobs keep ``system`` busy for as long as wanted."""
        if self.options.jobs is not None:
            return self.options.jobs
        rate = self._rates.get((system.key, case), system.guess(load))
        return int(min(max(rate * self.options.seconds, FEWEST_JOBS), MOST_JOBS))

    def rate(self, system: System, load: Load, title: str) -> Steady:
        """Have a system work off jobs that were enqueued beforehand; return its steady rate and cost per job.

        Raises:
            BenchmarkError: Its orchestrator ended, or the jobs do not get fewer.
        """
        case = f"{load} {len(load.queues)}"
        total = self.jobs(system, load, case)
        self.progress.step(f"{title} · enqueuing {total:,}")
        system.produce(self.server, "fill", queues=load.queues, jobs=total)
        self.progress.step(f"{title} · {total:,} jobs")
        with system.orchestrator(self.server, load, self.folder) as orchestrator:
            samples = self._samples(system, orchestrator, load, total)
        try:
            measured = steady(samples, total)
        except ValueError as error:
            raise BenchmarkError(f"{system.name}, {load}: {error}; more jobs are needed (--jobs)") from error
        self._rates[system.key, case] = measured.jobs_per_s
        return measured

    def _samples(self, system: System, orchestrator: Orchestrator, load: Load, total: int) -> list[Sample]:
        queues = list(load.queues)
        samples: list[Sample] = []
        moved_at, done = time.monotonic(), -1
        while done < total:
            now = time.monotonic()
            before, done = done, total - self.server.waiting(queues)
            samples.append(Sample(now, done, self._cpu(orchestrator)))
            if done > max(before, 0):
                moved_at = now
            elif now - moved_at > STALLED_AFTER_S:
                raise BenchmarkError(
                    f"{system.name}, {load}: {total - done} of {total} jobs still wait after "
                    f"{STALLED_AFTER_S:g} s without progress; its log ends:\n{tail(orchestrator.log)}"
                )
            orchestrator.check()
            self.progress.detail(f"{done / total:4.0%}  {number(_recent(samples))} jobs/s")
            time.sleep(POLL_S)
        return samples

    def _cpu(self, orchestrator: Orchestrator) -> dict[str, float]:
        """Return the CPU seconds used so far by the parts of a system, as far as the platform tells."""
        used = {"Redis": self.server.cpu_s()}
        own = cpu_s(orchestrator.pid)
        if own is not None:
            used["orchestrator"] = own
            used["runners"] = sum(cpu_s(runner.pid) or 0.0 for runner in orchestrator.runners())
        return used


def _recent(samples: Sequence[Sample]) -> float:
    first, last = samples[max(0, len(samples) - 20)], samples[-1]
    return (last.done - first.done) / (last.at_s - first.at_s) if last.at_s > first.at_s else 0.0
