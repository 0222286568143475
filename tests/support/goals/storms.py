"""Conditions that Redis refuses work in, one after the other, over orchestrators at work."""

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import redis

from rrq_producer import Producer, QueueFull, RedisUnavailable
from rrq_protocol import Job
from support.chaos.bench import doctor
from support.goals.report import Report
from support.goals.site import Site, site
from support.redis_servers import LOOPBACK

__all__ = ["CONDITIONS", "storms"]

_HELD_S, _GAP_S = (0.3, 3.0), (0.2, 1.0)
_LONG, _LONG_S = 0.1, 12.0
"""One condition in ten lasts longer than a lease."""
_PRODUCERS, _PROCESSES = 2, 4
_BALLAST, _LOAD_US = 60_000, 200
"""Commands in the file, and microseconds each of them takes to load: as long as a condition lasts."""
_REVIEW_S = 11.0
"""Orchestrators look every 10 s for jobs that Redis has in their hands, and they do not."""

Condition = Callable[[Site, float], None]


@dataclass
class _Ledger:
    """What producers asked for and were told; threads add to it side by side.

    Attributes:
        accepted: Ids that Redis said it has.
        refused: How often an enqueue failed, by the error's name; each was repeated.
    """

    accepted: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def _full(place: Site, held_s: float) -> None:
    place.stage.client.config_set("maxmemory", 1)
    _hold(place, held_s)
    place.stage.client.config_set("maxmemory", 0)


def _read_only(place: Site, held_s: float) -> None:
    client: Any = place.stage.client
    client.execute_command("REPLICAOF", LOOPBACK, "1")
    _hold(place, held_s)
    client.execute_command("REPLICAOF", "NO", "ONE")


def _loading(place: Site, held_s: float) -> None:
    place.stage.server.kill()
    # A server's own switch for tests of loading.
    place.stage.server.start_with("--key-load-delay", str(_LOAD_US))
    with redis.Redis.from_url(place.stage.server.url, retry=None, socket_timeout=30) as client:
        place.wait("a server that loads", lambda: _answer(client) == "LOADING")
        _hold(place, held_s)
        place.wait("a server that heeds us", lambda: client.config_set("key-load-delay", 0))
        place.wait("a server that has loaded", lambda: _answer(client) == "")


def _forgetful(place: Site, held_s: float) -> None:
    until = time.monotonic() + held_s
    while time.monotonic() < until:
        place.stage.client.script_flush()
        _hold(place, 0.02)


def _busy(place: Site, held_s: float) -> None:
    def block() -> None:
        with redis.Redis.from_url(place.stage.server.url, retry=None) as client, suppress(redis.RedisError):
            client.eval("while true do end", 0)

    place.stage.client.config_set("lua-time-limit", 50)
    blocker = threading.Thread(target=block, daemon=True)
    blocker.start()
    with redis.Redis.from_url(place.stage.server.url, retry=None) as client:
        place.wait("a busy server", lambda: _answer(client) == "BUSY")
        _hold(place, held_s)
        client.script_kill()
    blocker.join()


def _cannot_save(place: Site, held_s: float) -> None:
    client: Any = place.stage.client
    file = place.stage.server.folder / "dump.rdb"
    file.unlink(missing_ok=True)
    file.mkdir()
    client.config_set("save", "3600 1")
    _save(place, "err")
    _hold(place, held_s)
    shutil.rmtree(file)
    _save(place, "ok")
    client.config_set("save", "")


CONDITIONS: Mapping[str, Condition] = {
    "OOM": _full,
    "READONLY": _read_only,
    "LOADING": _loading,
    "NOSCRIPT": _forgetful,
    "BUSY": _busy,
    "MISCONF": _cannot_save,
}
"""What the server answers in them, and how each is made, held for some seconds and ended."""


def storms(report: Report, rng: random.Random, seconds: int) -> None:
    """G10: all conditions in random order, again and again, for so long and until each has been there."""
    ledger, times, back_s = _Ledger(), Counter[str](), []
    longest_s = 0.0
    with site(rng) as place:
        _lay_ballast(place)
        with _replies_counted(place) as (replies, note), _producing(place, ledger):
            until = time.monotonic() + seconds
            for name in _order(rng):
                if time.monotonic() > until and len(times) == len(CONDITIONS):
                    break
                held_s = _LONG_S if rng.random() < _LONG else rng.uniform(*_HELD_S)
                longest_s = max(longest_s, held_s)
                _hold(place, rng.uniform(*_GAP_S))
                note()
                CONDITIONS[name](place, held_s)
                at = time.monotonic()
                place.wait(f"a job to start after {name}", partial(_first_after, place, at))
                back_s.append(_first_after(place, at) - at)
                note()
                times[name] += 1
        told = f"{sum(times.values())} conditions of up to {longest_s:.1f} s"
        answered = {name: replies[name] for name in CONDITIONS}
        print(f"  {told}: {_listed(times)}; replies: {_listed(answered)}", flush=True)
        print(f"  enqueues repeated: {_listed(ledger.refused)}", flush=True)
        report.times("G10", "condition over, next job started", back_s)
        report.demand("G10", "each condition answered somebody", met=all(answered.values()))
        _tell(report, place, ledger)


def _order(rng: random.Random) -> Iterator[str]:
    """Yield all conditions in random order, again and again."""
    while True:
        yield from rng.sample(list(CONDITIONS), len(CONDITIONS))


def _tell(report: Report, place: Site, ledger: _Ledger) -> None:
    """Judge, once all has ended."""
    for _ in range(2):
        place.wait("all jobs to end", lambda: place.ended(ledger.accepted), step_s=0.5)
        # Where it ends, and what the reply to a lost claim held is found.
        place.stage.wait(lambda: False, _REVIEW_S)
    seen = place.seen()
    done = [job_id for job_id in ledger.accepted if str(place.record(job_id).status) == "COMPLETED"]
    lost = len(set(ledger.accepted) - (set(done) & seen.keys()))
    wanted = sum(2 if job_id.endswith("flaky") else 1 for job_id in seen)
    again = sum(len(each) for each in seen.values()) - wanted
    charged = sum(place.record(job_id).crash_count for job_id in seen)
    text = (
        f"{len(ledger.accepted)} jobs accepted, {lost} lost, {again} executions too many, {charged} charged"
    )
    report.demand("G10", text, met=not (lost or charged) and bool(ledger.accepted))
    fenced = sum(
        place.told(event) for event in ("orchestrator.fenced", "orchestrator.was_fenced", "redis.state_lost")
    )
    ends = sum(len(slot.history) - 1 for slot in place.slots)
    anew = place.told("runner.started") - _PROCESSES
    text = f"{ends} orchestrators ended, {fenced} declared dead, {anew} runners started anew"
    report.demand("G10", text, met=not (ends or fenced or anew))
    problems = doctor(place.stage)
    report.demand("G10", f"{len(problems)} findings of the doctor", met=not problems)
    for each in problems:
        print(f"    {each}")


@contextmanager
def _producing(place: Site, ledger: _Ledger) -> Iterator[None]:
    """Have jobs accepted while the block runs; an enqueue that fails is repeated with its id."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_produce, args=(place.stage.server.url, ledger, over, number), daemon=True)
        for number in range(_PRODUCERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _produce(url: str, ledger: _Ledger, over: threading.Event, number: int) -> None:
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("quick", {}),
        ("slow", {"seconds": 0.3}),
        ("flaky", {"fails": 1}),
    )
    made = 0
    with Producer(url, timeout_seconds=2.0) as producer:
        while not over.wait(0.03):
            function, params = kinds[made % len(kinds)]
            made += 1
            job = Job(function, params, job_id=f"p{number}-{made}-{function}")
            # To the end: an enqueue that is given up may have been accepted all the same.
            while True:
                try:
                    ledger.accepted.append(producer.enqueue_job(job).id)
                except (QueueFull, RedisUnavailable) as error:
                    ledger.refused[type(error).__name__] += 1
                    over.wait(0.05)
                else:
                    break


@contextmanager
def _replies_counted(place: Site) -> Iterator[tuple[Counter[str], Callable[[], None]]]:
    """Serve the number of error replies by their first word, and what has it brought up to date."""
    replies, last = Counter[str](), Counter[str]()

    def note() -> None:
        info: Mapping[str, Mapping[str, int]] = place.stage.client.info("errorstats")
        now = Counter({name.removeprefix("errorstat_"): each["count"] for name, each in info.items()})
        begun_anew = any(now[name] < count for name, count in last.items())
        replies.update(now if begun_anew else now - last)
        last.clear()
        last.update(now)

    yield replies, note


def _lay_ballast(place: Site) -> None:
    """Fill the append-only file, so that loading it takes as long as a condition may last."""
    with place.stage.client.pipeline(transaction=False) as pipe:
        for number in range(_BALLAST):
            pipe.set(f"ballast:{number % 100}", number)
        pipe.execute()


def _save(place: Site, wanted: str) -> None:
    client: Any = place.stage.client
    client.bgsave()

    def over() -> bool:
        info = client.info("persistence")
        return not info["rdb_bgsave_in_progress"] and info["rdb_last_bgsave_status"] == wanted

    place.wait(f"a save that ends as {wanted!r}", over)


def _answer(client: "redis.Redis") -> str:
    """Return the first word of an error, empty if there is none."""
    try:
        client.get("x")
    except redis.exceptions.BusyLoadingError:
        return "LOADING"
    except redis.ConnectionError:
        return "none"
    except redis.ResponseError as error:
        return str(error).partition(" ")[0]
    return ""


def _first_after(place: Site, at: float) -> float:
    """Return when the first job started after a moment, 0 if none has yet."""
    starts = (each[-1].start.at for each in place.seen().values())
    return min((start for start in starts if start > at), default=0.0)


def _hold(place: Site, seconds: float) -> None:
    place.stage.wait(lambda: False, seconds)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
