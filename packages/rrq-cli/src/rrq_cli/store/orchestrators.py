"""Who runs jobs: the lease rows, the reports beside them, and the active sets."""

from typing import Any, cast

import msgspec

from rrq_cli.shapes import OrchestratorInfo, RunnerInfo
from rrq_cli.store.client import Store
from rrq_cli.store.records import key_problem, text_of, time_of

__all__ = [
    "active_by_queue",
    "active_ids",
    "lease_state",
    "leases",
    "list_orchestrators",
    "read_report",
    "wrong_indexes",
]

_MOST_ACTIVE = 10_000
_LONGEST_LEASE_MS = 366 * 86_400_000
_STATES = ("live", "stray", "lapsed", "reaping")


def leases(store: Store) -> tuple[dict[str, float], dict[str, float]]:
    """Return the lease rows (id to lease value in epoch ms) and those declared dead (id to epoch ms)."""
    live, dead = store.ask(
        ("ZRANGE", store.keys.workers, 0, -1, "WITHSCORES"),
        ("ZRANGE", store.keys.reaping, 0, -1, "WITHSCORES"),
    )
    return _scores(live), _scores(dead)


def wrong_indexes(store: Store) -> list[str]:
    """Return a sentence for each list of orchestrators that is none."""
    names = (store.keys.workers, store.keys.reaping)
    replies = store.ask(*(("ZCARD", name) for name in names))
    problems = ((name, key_problem(reply, "sorted set")) for name, reply in zip(names, replies, strict=True))
    return [f"{name}: {problem}" for name, problem in problems if problem is not None]


def lease_state(lease_ms: float, now_ms: float) -> str:
    """Return what a lease row says: ``live``, ``lapsed``, or ``stray`` for one that would last for years."""
    if lease_ms - now_ms > _LONGEST_LEASE_MS:
        return "stray"
    return "live" if lease_ms >= now_ms else "lapsed"


def _scores(reply: Any) -> dict[str, float]:
    if isinstance(reply, Exception):
        return {}
    if reply and not isinstance(reply[0], (list, tuple)):
        reply = zip(reply[::2], reply[1::2], strict=True)
    return {text_of(member): float(score) for member, score in reply}


def active_ids(store: Store) -> dict[str, list[str]]:
    """Return the ids each known orchestrator holds."""
    live, dead = leases(store)
    names = [*live, *(name for name in dead if name not in live)]
    replies = store.ask(*(("ZRANGE", store.keys.active(name), 0, _MOST_ACTIVE) for name in names))
    return {
        name: [] if isinstance(reply, Exception) else [text_of(each) for each in reply]
        for name, reply in zip(names, replies, strict=True)
    }


def active_by_queue(store: Store) -> dict[str, int]:
    """Return how many jobs of each queue are being executed."""
    ids = [job_id for held in active_ids(store).values() for job_id in held]
    counts: dict[str, int] = {}
    for reply in store.ask(*(("HGET", store.keys.job(job_id), "queue_name") for job_id in ids)):
        if isinstance(reply, bytes):
            name = store.keys.queue_name(text_of(reply))
            counts[name] = counts.get(name, 0) + 1
    return counts


def list_orchestrators(store: Store) -> list[OrchestratorInfo]:
    """Return every orchestrator with a lease row or a reaping row, live ones first."""
    now = store.now_ms()
    live, dead = leases(store)
    names = [*live, *(name for name in dead if name not in live)]
    commands = [(("GET", store.keys.health(name)), ("ZCARD", store.keys.active(name))) for name in names]
    replies = store.ask(*(command for pair in commands for command in pair))
    found = []
    for i, name in enumerate(names):
        report, active = replies[2 * i], replies[2 * i + 1]
        info = read_report(name, report)
        info.queues = [store.keys.queue_name(each) for each in info.queues]
        info.active_jobs = active if isinstance(active, int) else 0
        info.state = lease_state(live[name], now) if name in live else "reaping"
        info.lease_seconds_left = (live[name] - now) / 1000 if name in live else None
        found.append(info)
    return sorted(found, key=lambda info: (_STATES.index(info.state), info.id))


def read_report(name: str, reply: object) -> OrchestratorInfo:
    """Return what an orchestrator reports of itself; whatever it left out or got wrong is left open."""
    info = OrchestratorInfo(id=name, state="live")
    if (problem := key_problem(reply, "string")) is not None:
        info.problem = f"health report: {problem}"
        return info
    if reply is None:
        info.problem = "no health report"
        return info
    try:
        report = msgspec.json.decode(cast(bytes, reply), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        info.problem = "the health report is no JSON object"
        return info
    queues = report.get("queues")
    info.queues = [str(each) for each in queues] if isinstance(queues, (list, dict)) else []
    info.host, info.version = _text(report.get("host")), _text(report.get("version"))
    info.pid, info.concurrency_limit = _whole(report.get("pid")), _whole(report.get("concurrency_limit"))
    info.reported_at, info.status = _instant(report.get("timestamp")), _text(report.get("status"))
    info.outbox, info.refused = _whole(report.get("outbox")), _text(report.get("refused"))
    runners = report.get("runners")
    if isinstance(runners, dict):
        info.runners = [_runner(str(each), facts) for each, facts in runners.items()]
    return info


def _runner(name: str, facts: object) -> RunnerInfo:
    known = facts if isinstance(facts, dict) else {}
    return RunnerInfo(
        name=name,
        state=_text(known.get("state")),
        capacity=_whole(known.get("capacity")),
        free=_whole(known.get("free")),
        restarts=_whole(known.get("restarts")),
        last_error=_text(known.get("last_error")),
        last_error_at=_instant(known.get("last_error_at")),
        stale=_whole(known.get("stale")) or msgspec.UNSET,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _instant(value: object) -> Any:
    from datetime import datetime

    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return time_of(float(value) * 1000)
    try:
        found = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return found if found.tzinfo is not None else None
