"""Faults: which one comes when (pure, from a seed), whom it hits, and how each is done."""

import heapq
import itertools
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TypeVar

import msgspec
import redis

from support.chaos.ledger import Fault
from support.chaos.options import KILLS, KINDS, Options
from support.chaos.slots import REGISTERED, Slot, children
from support.chaos.stage import Stage

__all__ = ["Planned", "Storm", "schedule"]


T = TypeVar("T")
_FIRST, _LAST = 0.01, 0.97
_LOOK_S = 1.0
_POSTPONE_S, _MOST_POSTPONED = 0.25, 40


class Planned(msgspec.Struct, frozen=True):
    """A fault to come.

    Attributes:
        share: When: after this share of the round's jobs was accepted.
        kind: One of :data:`~support.chaos.options.KILLS` or :data:`~support.chaos.options.KINDS`.
        draw: Decides whom it hits, 0 to 1.
        lasts: How long it lasts where it does, 0 to 1 of its range.
    """

    share: float
    kind: str
    draw: float
    lasts: float


def schedule(options: Options) -> list[Planned]:
    """Return the faults of a round: every kind once, if there are as many, and more of the weightier ones."""
    rng = random.Random(f"faults:{options.seed}")
    kinds = _draw(rng, options, KILLS, options.kills) + _draw(rng, options, KINDS, options.faults)
    rng.shuffle(kinds)
    planned = []
    for kind in kinds:
        until = _LAST * (options.unrest if kind.startswith(("redis.", "network.")) else 1.0)
        planned.append(Planned(rng.uniform(_FIRST, until), kind, rng.random(), rng.random()))
    return sorted(planned, key=lambda each: each.share)


def _draw(rng: random.Random, options: Options, weights: Mapping[str, float], count: int) -> list[str]:
    wanted = {kind: weight for kind, weight in weights.items() if options.wants(kind)}
    kinds = rng.sample(list(wanted), min(len(wanted), count))
    return kinds + (rng.choices(list(wanted), list(wanted.values()), k=count - len(kinds)) if wanted else [])


class Storm:
    """Does the faults of a schedule, and undoes them.

    Attributes:
        done: Faults that took place.
        skipped: Kinds that found nobody to hit in all the time they waited; a kill waits for ever.
    """

    def __init__(self, stage: Stage, options: Options) -> None:
        self.done: list[Fault] = []
        self.skipped: Counter[str] = Counter()
        self._stage, self._lease_s = stage, options.lease_s
        self._spares = options.judges_times
        self._order = itertools.count()
        self._planned = deque(schedule(options))
        self._waiting: list[tuple[float, int, Planned, int]] = []
        self._undo: list[tuple[float, int, Callable[[], None]]] = []
        self._busy: set[str] = set()
        self._due, self._looked = 0, 0.0

    @property
    def next_share(self) -> float:
        """Up to which share of the jobs no kill is owed any more."""
        waiting = [each[2] for each in self._waiting]
        return min((each.share for each in (*waiting, *self._planned) if each.kind in KILLS), default=1.0)

    def owed(self) -> dict[str, int]:
        """Return how many faults of each kind are still to come."""
        kinds = [planned.kind for planned in (*self._planned, *(each[2] for each in self._waiting))]
        return dict(Counter(kinds).most_common())

    def due(self) -> int:
        """Return how many jobs wait in the queue though they could start, as last seen; whoever asks Redis
        while it is away waits for it.
        """
        if (
            self._stage.redis_up
            and "redis" not in self._busy
            and time.monotonic() >= self._looked + _LOOK_S / 10
        ):
            self._looked = time.monotonic()
            with suppress(redis.ConnectionError):
                key = self._stage.keyspace.queue("default")
                self._due = int(self._stage.client.zcount(key, "-inf", time.time() * 1000))
        return self._due

    def step(self, share: float) -> bool:
        """Do what is due at this share of the jobs; False once nothing is left to be done or undone."""
        now = time.monotonic()
        while self._undo and self._undo[0][0] <= now:
            heapq.heappop(self._undo)[2]()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, planned, tried = heapq.heappop(self._waiting)
            self._try(planned, tried)
        while self._planned and self._planned[0].share <= share:
            self._try(self._planned.popleft(), 0)
        return bool(self._planned or self._waiting or self._undo)

    def abandon(self) -> None:
        """Undo at once what is to be undone."""
        for _, _, undo in self._undo:
            undo()
        self._undo.clear()

    def _try(self, planned: Planned, tried: int) -> None:
        acts: dict[str, Callable[[Planned], bool]] = {
            "orchestrator": self._orchestrator,
            "runner": self._runner,
            "producer": self._producer,
            "redis": self._redis,
            "network": self._network,
        }
        if acts[planned.kind.partition(".")[0]](planned):
            return
        if tried == _MOST_POSTPONED and planned.kind not in KILLS:
            self.skipped[planned.kind] += 1
        else:
            again_at = time.monotonic() + _POSTPONE_S
            heapq.heappush(self._waiting, (again_at, next(self._order), planned, tried + 1))

    def _happened(self, kind: str, *pids: int, until: float = 0.0, at: float = 0.0) -> bool:
        self.done.append(Fault(kind, at or time.monotonic(), pids, until))
        return True

    def _for(self, key: str, seconds: float, undo: Callable[[], None]) -> float:
        """Undo something later; until then ``key`` is busy. Returns when."""
        until = time.monotonic() + seconds
        self._busy.add(key)

        def end() -> None:
            self._busy.discard(key)
            undo()

        heapq.heappush(self._undo, (until, next(self._order), end))
        return until

    def _leases(self, planned: Planned) -> float:
        """Return 0.3 to 3 times what it takes until a silent orchestrator is declared dead, a lease and the
        next look at it; of a lease of production 0.3 to 1.5.
        """
        return (self._lease_s + _LOOK_S) * (0.3 + (1.2 if self._spares else 2.7) * planned.lasts)

    def _outage(self, planned: Planned) -> float:
        """Return the same for what stops everybody, and for no longer than a few seconds."""
        return min(self._leases(planned), 0.5 + 6 * planned.lasts)

    # Processes.

    def _orchestrator(self, planned: Planned) -> bool:
        act, slots = planned.kind.partition(".")[2], self._stage.orchestrators
        if act != "kill":
            # A stop that is asked for before Python listens is Python's to answer.
            slots = _alive(slots, REGISTERED if act == "drain" else "")
        slots = [slot for slot in slots if slot.running and not (self._spares and self._needed(slot))]
        slot = _one(slots, planned.draw)
        if slot is None:
            return False
        match act:
            case "kill":
                return self._happened(planned.kind, slot.send(signal.SIGKILL))
            case "drain":
                return self._happened(planned.kind, slot.send(signal.SIGTERM))
        victim = slot.running
        pid = slot.send(signal.SIGSTOP)
        slot.paused = True

        def resume() -> None:
            if slot.running is victim:
                slot.send(signal.SIGCONT)
                slot.paused = False
                slot.resumed = time.monotonic()

        until = self._for(slot.name, self._leases(planned), resume)
        return self._happened(planned.kind, pid, until=until)

    def _needed(self, victim: Slot) -> bool:
        """Whether nobody else has had an eye on all whose silence began within the last lease.

        That somebody lives on is the condition of the recovery time that is judged. It is not always the
        same one: whoever has lived a while may stay in place of another.
        """
        now = time.monotonic()
        silent = [
            fault.at
            for fault in self.done
            if fault.kind in ("orchestrator.kill", "orchestrator.pause")
            if fault.at > now - self._lease_s - 2 * _LOOK_S
        ]
        # The last one's network has faults of its own.
        others = [each for each in self._stage.orchestrators[:-1] if each is not victim]
        return not any(0 < each.watching_since < min(silent, default=now) for each in others)

    def _runner(self, planned: Planned) -> bool:
        alive = [each.running for each in _alive(self._stage.orchestrators, "runner.started")]
        # A runner process is the child of its guard; the end of either is the end of both.
        guards = [pid for each in alive if each for pid in children(each.pid)]
        pairs = [(guard, pid) for guard in guards for pid in children(guard)]
        pair = _one(pairs, planned.draw)
        if pair is None:
            return False
        _signal(pair[int(2 * planned.draw * len(pairs)) % 2], signal.SIGKILL)
        return self._happened(planned.kind, *pair)

    def _producer(self, planned: Planned) -> bool:
        slot = _one(_alive(self._stage.producers), planned.draw)
        return slot is not None and self._happened(planned.kind, slot.send(signal.SIGKILL))

    # Redis.

    def _redis(self, planned: Planned) -> bool:
        stage, act = self._stage, planned.kind.partition(".")[2]
        if "redis" in self._busy:
            return False
        match act:
            case "kill" | "restart":
                (stage.server.kill if act == "kill" else stage.server.stop)()
                stage.redis_up = False
                at = time.monotonic()
                return self._happened(
                    planned.kind, at=at, until=self._for("redis", 1.5 * planned.lasts, self._start_redis)
                )
            case "pause":
                server = stage.server.pid
                _signal(server, signal.SIGSTOP)
                # Now and then for longer than callers wait for a reply.
                seconds = 6.5 if planned.lasts > 0.7 else self._outage(planned)
                until = self._for("redis", seconds, partial(_signal, server, signal.SIGCONT))
                return self._happened(planned.kind, until=until)
            case "full":
                self._command("CONFIG", "SET", "maxmemory", "1mb")
                until = self._for(
                    "redis",
                    0.2 + 1.3 * planned.lasts,
                    lambda: self._command("CONFIG", "SET", "maxmemory", "0"),
                )
                return self._happened(planned.kind, until=until)
            case "client_pause":
                seconds = self._outage(planned) / 2
                self._command("CLIENT", "PAUSE", str(int(seconds * 1000)), "ALL")
                return self._happened(planned.kind, until=self._for("redis", seconds, lambda: None))
            case "script_flush":
                self._command("SCRIPT", "FLUSH")
            case "client_kill":
                self._command("CLIENT", "KILL", "TYPE", "normal")
        return self._happened(planned.kind)

    def _start_redis(self) -> None:
        self._stage.server.start()
        self._stage.redis_up = True
        self._happened("redis.up")

    def _command(self, *words: str) -> None:
        with suppress(redis.ConnectionError):
            self._stage.client.execute_command(*words)  # type: ignore[no-untyped-call]

    # The network between Redis and the last orchestrator, or the last producer.

    def _network(self, planned: Planned) -> bool:
        stage, act = self._stage, planned.kind.partition(".")[2]
        side = int(planned.draw * 2)
        slot, proxy = (stage.orchestrators, stage.producers)[side][-1], stage.proxies[side]
        key = f"network {side}"
        if slot.running is None or key in self._busy:
            return False
        until, count = 0.0, 1 + int(planned.lasts * 12)
        match act:
            case "cut":
                proxy.cut_all()
            case "cut_replies":
                proxy.cut_replies(count)
            case "half_replies":
                proxy.cut_replies(count, keep=3)
            case "silence":
                proxy.silence(count)
            case _:
                blocks = {"refuse": proxy.refusing, "black_hole": proxy.black_hole, "deaf": proxy.deaf}
                block = ExitStack()
                block.enter_context(blocks[act]())
                # Now and then for longer than callers wait for a reply.
                seconds = (self._leases, self._outage)[side](planned)
                if act == "deaf" and planned.lasts > 0.5:
                    seconds = 6.5
                until = self._for(key, seconds, block.close)
        return self._happened(planned.kind, slot.running.pid, until=until)


def _alive(slots: Sequence[Slot], said: str = "") -> list[Slot]:
    return [
        slot
        for slot in slots
        if slot.running and not slot.paused and signal.SIGTERM not in slot.running.signals
        if not said or slot.running.has_said(said)
    ]


def _one(things: Sequence[T], draw: float) -> T | None:
    return things[int(draw * len(things))] if things else None


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
