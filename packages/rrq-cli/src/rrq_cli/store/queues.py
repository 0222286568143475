"""Queues: names, contents, figures. Reading costs O(queues), never O(jobs) unless a scan is asked for."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from rrq_cli.shapes import QueueContent, QueueInfo, QueueStats, Totals
from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import active_by_queue, list_orchestrators
from rrq_cli.store.records import key_problem, read_rows, text_of
from rrq_cli.store.throughput import DAY, HOUR, Throughput, count_of, per_hour, per_second
from rrq_cli.words import plural
from rrq_protocol import InvalidName, validate_queue_name

__all__ = [
    "RecordScan",
    "inspect_queue",
    "list_queues",
    "queue_names",
    "queue_stats",
    "scan_keys",
    "scan_statuses",
    "unknown_queues",
    "wrong_sets",
]

_LATEST_MS = 253_402_300_799_999
_SCAN_STEP = 1000
_TOTALS = Totals.__struct_fields__
_SUMS = ("wait_ms", "run_ms")


def scan_keys(store: Store, pattern: str, most: int, kind: str | None = None) -> Generator[str, None, bool]:
    """Yield keys that match, looking at about ``most`` keys of the server (0: all of them); return whether
    there were no others.
    """
    cursor, looked = 0, 0
    while True:
        step = min(_SCAN_STEP, most - looked) if most else _SCAN_STEP
        arguments: list[Any] = ["SCAN", cursor, "MATCH", pattern, "COUNT", step]
        if kind is not None:
            arguments += ["TYPE", kind]
        (reply,) = store.ask(arguments)
        if isinstance(reply, Exception):
            raise reply
        cursor, found = int(reply[0]), cast("list[bytes]", reply[1])
        yield from (text_of(key) for key in found)
        looked += step
        if cursor == 0 or (most and looked >= most):
            return cursor == 0


def glob_escaped(text: str) -> str:
    """Return text that a Redis pattern takes literally."""
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in text)


def queue_names(store: Store, *, scan: int | None = None) -> list[str]:
    """Return the known queues, sorted: registered ones, paused ones, those of the settings, those that
    orchestrators report, and with ``scan`` found keys.

    Producers of the public line register nothing; ``scan`` is the number of keys to look at for their queues
    than that (0: all).
    """
    settings = store.settings
    names = {settings.default_queue_name, *settings.worker.queues, *settings.runner_routes}
    names.update(cron.queue_name for cron in settings.cron_jobs if cron.queue_name)
    for listed in store.ask(("SMEMBERS", store.keys.queues), ("SMEMBERS", store.keys.paused)):
        names.update(_members(listed))
    names.update(name for each in list_orchestrators(store) for name in each.queues)
    if scan is not None:
        pattern = glob_escaped(store.keys.queue("")) + "*"
        names.update(store.keys.queue_name(key) for key in scan_keys(store, pattern, scan, "zset"))
    return sorted(name for name in names if _usable(name))


def unknown_queues(store: Store, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the names that are in no settings, no list and no key, each with those that are known."""
    known = queue_names(store)
    doubtful = [name for name in names if name not in known]
    replies = store.ask(*(("EXISTS", store.keys.queue(name), store.keys.stats(name)) for name in doubtful))
    return [(name, known) for name, reply in zip(doubtful, replies, strict=True) if reply == 0]


def wrong_sets(store: Store) -> list[str]:
    """Return a sentence for each list of names that is none: what it should name may be missing elsewhere."""
    keys = (store.keys.queues, store.keys.paused, store.keys.dlqs)
    replies = store.ask(*(("SCARD", key) for key in keys))
    problems = ((key, key_problem(reply, "set")) for key, reply in zip(keys, replies, strict=True))
    return [f"{key}: {problem}" for key, problem in problems if problem is not None]


def _usable(name: str) -> bool:
    try:
        validate_queue_name(name)
    except InvalidName:
        return False
    return True


def list_queues(store: Store, names: Sequence[str]) -> list[QueueInfo]:
    """Return the queues of these names, in one round trip."""
    now = store.now_ms()
    commands = [command for name in names for command in _sizes(store, name, now)]
    paused, *replies = store.ask(("SMEMBERS", store.keys.paused), *commands)
    stopped = _members(paused)
    return [
        QueueInfo(name=name, **_at_a_glance(*sizes), paused=name in stopped)
        for name, sizes in zip(names, _by_four(replies), strict=True)
    ]


def _by_four(replies: Sequence[object]) -> Iterator[Sequence[object]]:
    """Yield the replies to :func:`_sizes`, queue by queue."""
    yield from (replies[start : start + 4] for start in range(0, len(replies), 4))


def _members(reply: object) -> set[str]:
    return set() if isinstance(reply, Exception) else {text_of(name) for name in cast("set[bytes]", reply)}


def _sizes(store: Store, name: str, now_ms: float) -> tuple[tuple[Any, ...], ...]:
    key = store.keys.queue(name)
    return (
        ("ZCARD", key),
        ("ZCOUNT", key, "-inf", f"{now_ms:.3f}"),
        ("ZCOUNT", key, "-inf", "(0"),
        ("ZCOUNT", key, f"({_LATEST_MS}", "+inf"),
    )


def _at_a_glance(card: object, due: object, before: object, beyond: object) -> dict[str, Any]:
    """Return what the replies to :func:`_sizes` say."""
    if (problem := key_problem(card, "sorted set")) is not None:
        return {"problem": problem}
    ready, waiting, early, never = (cast(int, each) for each in (due, card, before, beyond))
    odd = [f"{plural(never, 'job')} due beyond the year 9999, that is never"] if never else []
    odd += [f"{plural(early, 'job')} due before 1970"] if early else []
    return {"ready": ready, "later": waiting - ready, "problem": "; ".join(odd) or None}


def inspect_queue(store: Store, name: str, *, limit: int, offset: int) -> QueueContent:
    """Return a queue's jobs in the order they become due."""
    now = store.now_ms()
    stop = offset + limit - 1
    paused, ids, *sizes = store.ask(
        ("SISMEMBER", store.keys.paused, name),
        ("ZRANGE", store.keys.queue(name), offset, stop),
        *_sizes(store, name, now),
    )
    content = QueueContent(name=name, **_at_a_glance(*sizes), paused=paused == 1, offset=offset)
    if not isinstance(ids, Exception) and limit:
        content.jobs = read_rows(store, [text_of(each) for each in ids])
    return content


def queue_stats(
    store: Store, names: Sequence[str], *, scan: "RecordScan | None" = None, flow: Throughput | None = None
) -> list[QueueStats]:
    """Return the figures of these queues.

    Args:
        store: The connection.
        names: The queues.
        scan: What a scan found, if there was one.
        flow: Remembers the minutes that are over, for whoever asks again.
    """
    flow = flow or Throughput()
    now = store.now_ms()
    active = active_by_queue(store)
    stopped = _members(store.ask(("SMEMBERS", store.keys.paused))[0])
    result = _now_and_so_far(store, names, now)
    # Minutes are read of those queues only that ever completed a job, or of which nobody knows.
    flowing = [each.name for each in result if each.totals.completed or each.problem]
    minutes = flow.of(store, flowing, now)
    for stats in result:
        stats.active, stats.paused = active.get(stats.name, 0), stats.name in stopped
        stats.scanned = None if scan is None else scan.counts.get(stats.name, {})
        _add_flow(stats, minutes.get(stats.name) or [0] * DAY, now)
    return result


def _now_and_so_far(store: Store, names: Sequence[str], now_ms: float) -> list[QueueStats]:
    """Return what is in the queues, and what their counters say, in one round trip."""
    keys = store.keys
    commands: list[tuple[Any, ...]] = []
    for name in names:
        commands.append(("ZRANGE", keys.queue(name), 0, 0, "WITHSCORES"))
        commands.append(("HMGET", keys.stats(name), *_TOTALS, *_SUMS))
        commands += _sizes(store, name, now_ms)
    replies, each = store.ask(*commands), 2 + 4
    return [
        _stats_of(store, name, now_ms, *replies[at * each : (at + 1) * each]) for at, name in enumerate(names)
    ]


def _stats_of(
    store: Store, name: str, now_ms: float, first: object, totals: object, *sizes: object
) -> QueueStats:
    stats = QueueStats(name=name, **_at_a_glance(*sizes))
    if stats.ready and first and not isinstance(first, Exception):
        ((_, score),) = _scored(first)
        stats.oldest_ready_age_seconds = max(0.0, (now_ms - score) / 1000)
    if (problem := key_problem(totals, "hash")) is not None:
        stats.problem = stats.problem or f"{store.keys.stats(name)}: {problem}"
    else:
        _add_totals(stats, cast("list[bytes | None]", totals))
    return stats


def _add_flow(stats: QueueStats, minutes: Sequence[int], now_ms: float) -> None:
    stats.completed_per_minute, stats.completed_per_hour = list(minutes[-HOUR:]), per_hour(minutes)
    stats.per_second_1m, stats.per_second_1h, stats.per_second_24h = per_second(minutes, now_ms)


def _scored(reply: Any) -> list[tuple[str, float]]:
    """Return members and scores, however the client's protocol version lays them out."""
    if reply and not isinstance(reply[0], (list, tuple)):
        reply = list(zip(reply[::2], reply[1::2], strict=True))
    return [(text_of(member), float(score)) for member, score in reply]


def _add_totals(stats: QueueStats, reply: Sequence[bytes | None]) -> None:
    counts = [count_of(raw) for raw in reply]
    stats.totals = Totals(**dict(zip(_TOTALS, counts, strict=False)))
    wait_ms, run_ms = counts[len(_TOTALS) :]
    ended = stats.totals.completed + stats.totals.failed + stats.totals.retried
    stats.mean_wait_seconds = wait_ms / stats.totals.started / 1000 if stats.totals.started else None
    stats.mean_run_seconds = run_ms / ended / 1000 if ended else None


@dataclass
class RecordScan:
    """Records counted by reading them.

    Attributes:
        counts: How many of each status, by queue.
        looked_at: Records read.
        complete: Whether there are no others.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    looked_at: int = 0
    complete: bool = True


def scan_statuses(store: Store, most: int) -> RecordScan:
    """Count records by status, looking at about ``most`` keys of the server and reading no more records
    than that (0: all).
    """
    found = RecordScan()
    pattern = glob_escaped(store.keys.job("")) + "*"

    def keys() -> Iterator[str]:
        found.complete = yield from scan_keys(store, pattern, most, "hash")

    everything = keys()
    for batch in batches(islice(everything, most or None), 500):
        found.looked_at += len(batch)
        for reply in store.ask(*(("HMGET", key, "queue_name", "status") for key in batch)):
            if isinstance(reply, Exception) or None in reply:
                continue
            queue, status = store.keys.queue_name(text_of(reply[0])), text_of(reply[1])
            of_queue = found.counts.setdefault(queue, {})
            of_queue[status] = of_queue.get(status, 0) + 1
    if next(everything, None) is not None:
        found.complete = False
    found.counts = {queue: dict(sorted(of_queue.items())) for queue, of_queue in found.counts.items()}
    return found


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the items in lists of ``size``."""
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
