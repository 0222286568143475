"""The demo's result: read from the job records, checked for exactly one end per file."""

from pathlib import Path
from typing import Any

import msgspec

from rrq_cli.demo.leftovers import Leftover, demo_records
from rrq_cli.demo.plan import QUEUE
from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_ids
from rrq_cli.store.queues import batches
from rrq_cli.store.records import detail
from rrq_cli.store.throughput import count_of

__all__ = ["DeadFile", "DemoResult", "Function", "read_result"]

LARGEST = 10
_CHUNK = 200


class Function(msgspec.Struct, kw_only=True):
    """A function that was found, and the job that found it."""

    path: str
    name: str
    line: int
    lines: int
    job_id: str


class DeadFile(msgspec.Struct, kw_only=True):
    """A file whose job is in the dead letter queue."""

    path: str
    error: str
    job_id: str
    attempts: int


class DemoResult(msgspec.Struct, kw_only=True):
    """What ``rrq demo --json`` prints.

    Attributes:
        files: Files that were found, each a job.
        completed: Jobs that completed.
        dead_lettered: Jobs in the dead letter queue.
        retried: Attempts that were retried.
        seconds: From the first job enqueued to the last one ended.
        jobs_per_second: Ended jobs per second.
        exactly_once: Whether every file came to exactly one end.
        findings: What is wrong where not.
        largest_functions: The ten longest functions, longest first.
        dlq: The content of the dead letter queue.
        server: The folder, socket and process id of the Valkey server that is left running.
        commands: Commands that show more, ready to be pasted in this folder.
    """

    files: int
    enqueued: int = 0
    completed: int = 0
    dead_lettered: int = 0
    retried: int = 0
    seconds: float = 0.0
    jobs_per_second: float = 0.0
    exactly_once: bool = False
    findings: list[str] = []
    runner_processes: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    deepest_nesting: int = 0
    deepest_path: str | None = None
    largest_functions: list[Function] = []
    dlq: list[DeadFile] = []
    server: dict[str, Any] = {}
    commands: dict[str, str] = {}


def read_result(store: Store, files: int, seconds: float, processes: int) -> DemoResult:
    """Return the result of the run that has just ended; ``files`` is what the producer says it enqueued."""
    result = DemoResult(files=files, seconds=seconds, runner_processes=processes)
    records = demo_records(store)
    paths: set[str] = set()
    largest: list[Function] = []
    for ids in batches(sorted(records), _CHUNK):
        for job_id, fields in zip(
            ids, store.ask(*(("HGETALL", store.keys.job(i)) for i in ids)), strict=True
        ):
            job = detail(store.keys, job_id, fields, -1)
            params = job.params if isinstance(job.params, dict) else {}
            path = str(params.get("path", ""))
            paths.add(path)
            if job.status == "COMPLETED" and isinstance(job.result, dict):
                result.completed += 1
                _add(result, path, job.result)
                _add_function(largest, path, job.result.get("longest_function"), job_id)
            elif job.status == "FAILED":
                error = (job.last_error or "").strip().split("\n")[0]
                result.dlq.append(DeadFile(path=path, error=error, job_id=job_id, attempts=job.attempts))
            else:
                result.findings.append(f"job {job_id} has not ended: its status is {job.status}")
    result.dlq.sort(key=lambda dead: dead.path)
    result.dead_lettered = len(result.dlq)
    largest.sort(key=lambda function: (-function.lines, function.path))
    result.largest_functions = largest[:LARGEST]
    result.jobs_per_second = (result.completed + result.dead_lettered) / seconds if seconds > 0 else 0.0
    _verify(store, result, records, paths)
    return result


def _add(result: DemoResult, path: str, counts: dict[str, Any]) -> None:
    result.lines += _whole(counts.get("lines"))
    result.functions += _whole(counts.get("functions"))
    result.classes += _whole(counts.get("classes"))
    nesting = _whole(counts.get("deepest_nesting"))
    if nesting > result.deepest_nesting:
        result.deepest_nesting, result.deepest_path = nesting, path


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _add_function(largest: list[Function], path: str, found: object, job_id: str) -> None:
    if isinstance(found, dict):
        name, line, lines = str(found.get("name")), _whole(found.get("line")), _whole(found.get("lines"))
        largest.append(Function(path=path, name=name, line=line, lines=lines, job_id=job_id))


def _verify(store: Store, result: DemoResult, records: dict[str, Leftover], paths: set[str]) -> None:
    """Compare what the producer, the records, the counters and the dead letter queue say."""
    fields = ("enqueued", "completed", "failed", "retried")
    (counters,) = store.ask(("HMGET", store.keys.stats(QUEUE), *fields))
    counts = [0] * 4 if isinstance(counters, Exception) else [*map(count_of, counters)]
    result.enqueued, completed, failed, result.retried = counts
    dead = {job_id for page in dead_ids(store, QUEUE, 1000) for job_id in page}
    expected = {entry.job_id for entry in result.dlq}
    checks = (
        (
            result.enqueued == result.files,
            f"{result.files} files were found, {result.enqueued} jobs accepted",
        ),
        (
            len(records) == result.files,
            f"{result.files} jobs were enqueued, {len(records)} records are stored",
        ),
        (len(paths) == len(records), f"{len(records)} jobs stand for {len(paths)} different files"),
        (
            completed == result.completed,
            f"{completed} completions counted, {result.completed} records completed",
        ),
        (failed == result.dead_lettered, f"{failed} failures counted, {result.dead_lettered} records failed"),
        (dead == expected, f"the dead letter queue holds {len(dead)} ids, {len(expected)} records failed"),
    )
    result.findings += [text for fine, text in checks if not fine]
    result.exactly_once = not result.findings


def relative(path: str, base: Path) -> str:
    """Return a path as seen from the folder that was worked on."""
    try:
        return str(Path(path).relative_to(base))
    except ValueError:
        return path
