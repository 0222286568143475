"""Faults: when which one happens (pure, from a seed), and how each is done."""

import heapq
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TypeVar

import msgspec
import redis

from support.chaos.ledger import Fault
from support.chaos.options import KINDS, Options
from support.chaos.slots import Slot, children
from support.chaos.stage import Stage

__all__ = ["Planned", "Storm", "schedule"]


T = TypeVar("T")
_FIRST_S = 1.0
_LOOK_S = 1.0
_POSTPONE_S, _MOST_POSTPONED = 0.25, 40


class Planned(msgspec.Struct, frozen=True):
    """A fault to come.

    Attributes:
        at_s: When, from the start of the round.
        kind: One of :data:`~support.chaos.options.KINDS`.
        draw: Decides whom it hits, 0 to 1.
        lasts: How long it lasts where it does, 0 to 1 of its range.
    """

    at_s: float
    kind: str
    draw: float
    lasts: float


def schedule(options: Options) -> list[Planned]:
    """Return the faults of a round: every kind once, if there are as many, and more of the weightier ones."""
    rng = random.Random(f"faults:{options.seed}")
    wanted = {k: w for k, w in KINDS.items() if not options.kinds or k.startswith(options.kinds)}
    kinds = rng.sample(list(wanted), min(len(wanted), options.faults))
    kinds += rng.choices(list(wanted), list(wanted.values()), k=options.faults - len(kinds))
    rng.shuffle(kinds)
    times = sorted(rng.uniform(_FIRST_S, max(_FIRST_S, options.span_s)) for _ in kinds)
    return [Planned(at, kind, rng.random(), rng.random()) for at, kind in zip(times, kinds, strict=True)]


class Storm:
    """Does the faults of a schedule, and undoes them.

    Attributes:
        done: Faults that took place.
        skipped: Kinds that found nobody to hit in all the time they waited.
    """

    def __init__(self, stage: Stage, options: Options) -> None:
        self.done: list[Fault] = []
        self.skipped: Counter[str] = Counter()
        self._stage, self._lease_s = stage, options.lease_s
        self._order = itertools.count()
        self._began = time.monotonic()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._busy: set[str] = set()
        for planned in schedule(options):
            self._at(self._began + planned.at_s, partial(self._try, planned, 0))

    def step(self) -> bool:
        """Do what is due; False once nothing is left to be done or undone."""
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()
        return bool(self._agenda)

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), act))

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
        if tried == _MOST_POSTPONED:
            self.skipped[planned.kind] += 1
        else:
            self._at(time.monotonic() + _POSTPONE_S, partial(self._try, planned, tried + 1))

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

        self._at(until, end)
        return until

    def _leases(self, planned: Planned) -> float:
        """Return 0.3 to 3 times what it takes until a silent orchestrator is declared dead: a lease, and the
        next look at it.
        """
        return (self._lease_s + _LOOK_S) * (0.3 + 2.7 * planned.lasts)

    # Processes.

    def _orchestrator(self, planned: Planned) -> bool:
        act, slots = planned.kind.partition(".")[2], self._stage.orchestrators
        if act != "kill":
            # A stop that is asked for before Python listens is Python's to answer.
            slots = _alive(slots, "orchestrator.registered" if act == "drain" else "")
        slot = _one([slot for slot in slots if slot.running], planned.draw)
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

        until = self._for(slot.name, self._leases(planned), resume)
        return self._happened(planned.kind, pid, until=until)

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
                seconds = 6.5 if planned.lasts > 0.7 else self._leases(planned)
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
                seconds = self._leases(planned) / 2
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
                seconds = 6.5 if act == "deaf" and planned.lasts > 0.5 else self._leases(planned)
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
