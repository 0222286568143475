"""Failovers to a replica that lags, under orchestrators at work."""

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import redis

from rrq_producer import DurabilityNotConfirmed, Producer, RedisUnavailable
from rrq_protocol import Job, Keyspace
from support.audit import audit
from support.chaos.stage import ADMIN_TIMEOUT_S, steady_port
from support.goals.report import Report
from support.goals.site import Site, site
from support.proxy import Proxy
from support.redis_choice import for_most
from support.redis_servers import LOOPBACK, ProcessServer

__all__ = ["Ledger", "Verdict", "failovers"]

_LAGS_S = (0.1, 0.8)
_STEADY_S = (0.2, 0.6)
_ORCHESTRATORS, _PROCESSES = 2, 4
_DURABILITY = ("replicas:1", "memory", "replicas:1", "memory")
"""What each producer asks for."""
_REVIEW_S = 11.0
"""Orchestrators look every 10 s for jobs that Redis has in their hands, and they do not."""


@dataclass
class Ledger:
    """What producers were told, and what of it had not been copied. Threads add to it side by side.

    Attributes:
        asked: Ids, in the order they were sent; some of them more than once.
        confirmed: Ids of which it was said that a replica has them.
        accepted: Ids of which it was said that Redis has them, and no more.
        behind: Ids that a dead primary had, and the replica that took its place had not.
    """

    asked: list[str] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)

    def judge(self, completed: Iterable[str]) -> "Verdict":
        """Return what was lost, given the jobs that were completed in the end."""
        lost = (self.confirmed | self.accepted) - set(completed)
        return Verdict(lost & self.confirmed, lost - self.confirmed, lost - self.behind)


@dataclass(frozen=True)
class Verdict:
    """Ids that were acknowledged and lost.

    Attributes:
        confirmed: Those that a replica was said to have; there may be none.
        unconfirmed: The others.
        unexplained: Those of both that the replica had; there may be none.
    """

    confirmed: set[str]
    unconfirmed: set[str]
    unexplained: set[str]

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost but what had not been copied, and none of it was confirmed."""
        return not self.confirmed and not self.unexplained


class _Pair:
    """A primary with an append-only file, and a replica that follows it through a proxy.

    Args:
        servers: The primary and a server that is not started yet.
        fronts: What clients connect to; they lead to the primary.
    """

    def __init__(self, servers: Sequence[ProcessServer], fronts: Sequence[Proxy]) -> None:
        self.primary, self.replica = servers
        self._fronts = fronts
        self._between = Proxy(self.primary.url)
        self._open = ExitStack()
        self._clients = {each.url: _client(each.url) for each in servers}

    def __enter__(self) -> "_Pair":
        self._open.callback(self.replica.close)
        for client in self._clients.values():
            self._open.callback(client.close)
        self._open.enter_context(self._between)
        self.replica.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def client(self) -> Any:
        """A client of the primary."""
        return self._clients[self.primary.url]

    def follow(self, place: Site) -> None:
        """Let the replica take everything from the primary, and write it to its file."""
        self.client.config_set("repl-diskless-sync-delay", 0)
        standby = self._clients[self.replica.url]
        standby.execute_command("REPLICAOF", LOOPBACK, self._between.url.rpartition(":")[2].partition("/")[0])
        place.wait("the replica to follow", lambda: _link(standby) == "up" and _is_on_disk(standby))

    def fail_over(self, place: Site, rng: random.Random, asked: Callable[[], Sequence[str]]) -> set[str]:
        """Kill the primary, have the replica take its place, and start the dead one as its replica. Return
        the jobs that had not been copied, of those that had been ``asked`` for by the time of the death.
        """
        heir = self._clients[self.replica.url]
        if rng.random() < 0.25:
            self.primary.kill()
        else:
            with self._between.black_hole():
                place.stage.wait(lambda: False, rng.uniform(*_LAGS_S))
                self.primary.kill()
                # What is on its way is lost as well.
                self._between.cut_all()
        place.wait("the replica to notice", lambda: _link(heir) == "down")
        ids = asked()
        copied = _known(heir, ids)
        steps = [lambda: heir.execute_command("REPLICAOF", "NO", "ONE"), self._lead_to_the_replica]
        if rng.random() < 0.5:
            # Clients come before it may be written to.
            steps.reverse()
        for step in steps:
            step()
        self.primary.start()
        self.primary, self.replica = self.replica, self.primary
        # Its file has all that it acknowledged; following the other makes it forget.
        behind = _known(self._clients[self.replica.url], ids) - copied
        self._between.lead_to(self.primary.url)
        self.follow(place)
        return behind

    def _lead_to_the_replica(self) -> None:
        for front in self._fronts:
            front.lead_to(self.replica.url)


def failovers(report: Report, rng: random.Random, count: int) -> None:
    """G9: SIGKILL to a primary whose replica has not got the latest writes, and takes its place."""
    if (binary := for_most().binary) is None:
        raise RuntimeError("failovers need a server program")
    ledger, over = Ledger(), threading.Event()
    with site(rng, _ORCHESTRATORS, through_proxy=True) as place:
        fronts = place.stage.proxies
        second = ProcessServer(binary, append_only=True, port=steady_port())
        with _Pair((place.stage.server, second), fronts) as pair:
            pair.follow(place)
            threads = [
                threading.Thread(target=_produce, args=(fronts[1].url, ledger, over, number, rng.random()))
                for number in range(len(_DURABILITY))
            ]
            for thread in threads:
                thread.start()
            try:
                _round_by_round(place, pair, rng, ledger, count)
            finally:
                over.set()
                for thread in threads:
                    thread.join()
            _tell(report, place, pair.client, ledger, count)


def _round_by_round(place: Site, pair: _Pair, rng: random.Random, ledger: Ledger, count: int) -> None:
    # An enqueue may last from one round into the next, and no longer: each waits for everybody.
    before = start = 0
    for _ in range(count):
        before, start = start, len(ledger.asked)
        place.wait("an answer to every producer", partial(_all_answered, ledger, start))
        place.stage.wait(lambda: False, rng.uniform(*_STEADY_S))
        ledger.behind |= pair.fail_over(place, rng, partial(_since, ledger, before))


def _since(ledger: Ledger, start: int) -> list[str]:
    return ledger.asked[start:]


def _all_answered(ledger: Ledger, start: int) -> bool:
    """Whether each producer that wants a replica was confirmed a job, and each other accepted one."""
    done = {
        number
        for number, _, _ in (each.partition("-") for each in ledger.asked[start:] if _as_wanted(ledger, each))
    }
    return len(done) == len(_DURABILITY)


def _as_wanted(ledger: Ledger, job_id: str) -> bool:
    wanted = _DURABILITY[int(job_id[1 : job_id.index("-")])]
    return job_id in (ledger.accepted if wanted == "memory" else ledger.confirmed)


def _produce(url: str, ledger: Ledger, over: threading.Event, number: int, seed: float) -> None:
    rng = random.Random(seed)
    made = 0
    with Producer(url, timeout_seconds=2.0) as producer:
        while not over.wait(0.03):
            made += 1
            job_id = f"p{number}-{made}"
            ledger.asked.append(job_id)
            function, params = rng.choice((("quick", {}), ("slow", {"seconds": 0.3})))
            while not over.is_set():
                try:
                    producer.enqueue_job(
                        Job(function, dict(params), job_id=job_id), durability=_DURABILITY[number]
                    )
                except RedisUnavailable:
                    continue
                except DurabilityNotConfirmed:
                    ledger.accepted.add(job_id)
                else:
                    sure = _DURABILITY[number] != "memory"
                    (ledger.confirmed if sure else ledger.accepted).add(job_id)
                break


def _tell(report: Report, place: Site, client: Any, ledger: Ledger, count: int) -> None:
    """Judge, once all that is there has ended."""
    asked = sorted(set(ledger.asked))
    place.stage.client = client
    there = sorted(_known(client, asked))
    place.wait("all jobs that are there to end", lambda: place.ended(there), step_s=0.5)
    place.stage.wait(lambda: False, _REVIEW_S)
    place.wait("all jobs that are there to end", lambda: place.ended(there), step_s=0.5)
    completed = [job_id for job_id in there if str(place.record(job_id).status) == "COMPLETED"]
    found = ledger.judge(completed)
    seen = place.seen()
    again = sum(len(each) > 1 for each in seen.values())
    ran = sum(job_id in seen for job_id in found.unconfirmed)
    print(f"  {len(asked)} jobs, {again} executed more than once", flush=True)
    text = f"{len(ledger.confirmed)} jobs confirmed by a replica over {count} failovers"
    report.demand("G9", f"{text}, {len(found.confirmed)} lost", met=bool(ledger.confirmed) and found.is_good)
    text = f"{len(ledger.accepted)} others accepted, {len(found.unconfirmed)} lost, {ran} of them after a run"
    text = f"{text}; {len(ledger.behind)} had not been copied, {len(found.unexplained)} lost besides"
    report.demand("G9", text, met=not found.unexplained and bool(ledger.behind))
    fenced, processes = place.told("orchestrator.fenced"), place.told("runner.started")
    ends = sum(len(slot.history) - 1 for slot in place.slots)
    text = (
        f"{ends} orchestrators ended, {fenced} declared dead, {processes - _PROCESSES} runners started anew"
    )
    report.demand("G9", text, met=not (ends or fenced) and processes == _PROCESSES)
    wrong = audit(client, Keyspace("rrq"), max_crashes=3)
    report.demand("G9", f"{len(wrong)} findings in what is left", met=not wrong)
    for each in (*sorted(found.unexplained), *wrong)[:10]:
        print(f"    {each}")


def _client(url: str) -> Any:
    return redis.Redis.from_url(url, socket_timeout=ADMIN_TIMEOUT_S, socket_connect_timeout=ADMIN_TIMEOUT_S)


def _link(client: Any) -> str:
    return str(client.info("replication").get("master_link_status", "none"))


def _is_on_disk(client: Any) -> bool:
    """Whether its append-only file holds what it took over: until it is written anew, a kill loses it."""
    info = client.info("persistence")
    return bool(info["aof_enabled"]) and not (
        info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"] or info["loading"]
    )


def _known(client: Any, ids: Sequence[str]) -> set[str]:
    """Return those jobs that are there."""
    with client.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.exists(Keyspace("rrq").job(job_id))
        return {job_id for job_id, there in zip(ids, pipe.execute(), strict=True) if there}
