"""Orchestrators on a Redis of their own, with the handlers and the witness of the chaos bench."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rrq_producer import Producer
from rrq_protocol import Job, JobRecord, parse_record
from support.chaos.evidence import Execution, executions_of
from support.chaos.ledger import Seen, read_witness_from
from support.chaos.options import Options
from support.chaos.slots import Slot
from support.chaos.stage import Stage

__all__ = ["PATIENCE_S", "Site", "site"]

PATIENCE_S = 120.0
RUNS = ("-m", "rrq_orchestrator", "--config", "rrq.toml")


class Site:
    """A stage with its witness, and a producer."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.producer = Producer(stage.server.url)
        self._numbers = itertools.count()
        self._read = 0
        self._lines: dict[str, list[Seen]] = {}
        self._seen: dict[str, list[Execution]] = {}

    @property
    def slots(self) -> list[Slot]:
        """The orchestrators."""
        return self.stage.orchestrators

    def enqueue(self, function: str, count: int = 1, **params: Any) -> list[str]:
        """Have jobs accepted; return their ids."""
        jobs = [Job(function, params, job_id=f"j{next(self._numbers)}") for _ in range(count)]
        return [outcome.id for outcome in self.producer.enqueue_many(jobs)]

    def seen(self) -> dict[str, list[Execution]]:
        """Return what handlers saw so far."""
        lines, self._read = read_witness_from(self.stage.witness, self._read)
        for line in lines:
            self._lines.setdefault(line.job, []).append(line)
        for job_id in {line.job for line in lines}:
            self._seen |= executions_of(self._lines[job_id])
        return self._seen

    def running(self, *, parent: int) -> dict[str, Execution]:
        """Return what runs under an orchestrator process: the last execution of each such job."""
        last = {job_id: several[-1] for job_id, several in self.seen().items()}
        return {
            job_id: each for job_id, each in last.items() if each.end is None and each.start.parent == parent
        }

    def next_starts(self, before: dict[str, Execution]) -> dict[str, Execution]:
        """Return the executions that followed those of ``before``, as far as there are any yet."""
        seen = self.seen()
        return {
            job_id: seen[job_id][each.number + 1]
            for job_id, each in before.items()
            if len(seen[job_id]) > each.number + 1
        }

    def record(self, job_id: str) -> JobRecord:
        """Return what Redis holds of a job."""
        fields: Any = self.stage.client.hgetall(self.stage.keyspace.job(job_id))
        return parse_record(fields)

    def ended(self, ids: Sequence[str]) -> bool:
        """Whether all of these have ended."""
        with self.stage.client.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(self.stage.keyspace.job(job_id), "status")
            return all(status in (b"COMPLETED", b"FAILED") for status in pipe.execute())

    def wait(
        self, what: str, done: Callable[[], object], within_s: float = PATIENCE_S, step_s: float = 0.02
    ) -> None:
        """Wait for something that has to come."""
        if not self.stage.wait(lambda: bool(done()), within_s, step_s):
            raise TimeoutError(f"waited {within_s:g} s for {what}; see {self.stage.folder}")

    def ready(self, spare: int = 0) -> None:
        """Wait until all orchestrators but ``spare``, and a runner of each, are at work."""
        self.wait(
            "orchestrators and runners",
            lambda: (
                len(self.slots) - spare
                <= sum(
                    bool(each.running and each.running.has_said("runner.started")) and not each.paused
                    for each in self.slots
                )
            ),
        )

    def told(self, event: str) -> int:
        """Return how often an event is in the logs."""
        wanted = f'"event": "{event}"'
        return sum(each.log.read_text().count(wanted) for slot in self.slots for each in slot.history)

    def stop(self) -> list[str]:
        """Stop everything; return what was not in order."""
        return self.stage.stop()


@contextmanager
def site(
    rng: random.Random,
    orchestrators: int = 2,
    *,
    max_crashes: int = 3,
    runs: Sequence[str] = RUNS,
    through_proxy: bool = False,
    overlay: Path | None = None,
) -> Iterator[Site]:
    """Serve a site whose orchestrators are ready. Their lease is the default one. Packages in the folder
    ``overlay`` take the place of ours in them.
    """
    options = Options(0, orchestrators=0, producers=0, max_crashes=max_crashes)
    stage = Stage(options, rng)
    env = {"CHAOS_MARK": stage.mark, "TMPDIR": str(stage.folder / "tmp")}
    if through_proxy:
        env["RRQ_REDIS_DSN"] = stage.proxies[0].url
    if overlay is not None:
        env["PYTHONPATH"] = str(overlay)
    stage.orchestrators += [
        Slot(f"orchestrator-{n}", runs, stage.folder, env, [0.0]) for n in range(orchestrators)
    ]
    with stage:
        place = Site(stage)
        place.ready()
        with place.producer:
            yield place
