"""Ending and reviving from outside: cancel (T10, T11), requeue (T12), purge (T13)."""

import pytest

from rrq_protocol import Job, transitions
from rrq_protocol.transitions import Charge, EnqueueKind, RequeueReply, SettleKind
from support.audit import read_keys
from support.transitions import NOON_MS, Transitions, ids

OK = RequeueReply.OK


def fail(t: Transitions, job_id: str, *, dlq_name: str = "default", **fields: str) -> None:
    """Run a job into a DLQ."""
    job = t.start(job_id, **fields)
    t.end(job, SettleKind.FAIL, "oops", charge=Charge.RETRY, dlq_name=dlq_name, attempts_log=b"[]")


def bury(t: Transitions, count: int) -> list[str]:
    """Dead-letter so many jobs and return their ids, oldest first."""
    t.register("a")
    names = [f"j{n:05}" for n in range(count)]
    t.enqueue(*(Job("f", job_id=name) for name in names))
    while jobs := t.claim(wanted=500).jobs:
        t.settle(*(transitions.Settlement(j.id, j.claim_seq, SettleKind.FAIL, "default", "x") for j in jobs))
    assert t.dead() == names[::-1]
    return names


def test_a_waiting_job_is_cancelled_at_once(t: Transitions) -> None:
    """Pending and retrying jobs end, leave their queue, free their key; their waiters hear of it (T11)."""
    t.add("pending", unique_key="u", defer_by=60)
    t.end(t.start("retrying"), SettleKind.RETRY, delay_ms=5000)
    for name in ("pending", "retrying"):
        with t.client.pubsub() as listener:
            listener.subscribe(t.keyspace.channel(name))
            listener.get_message(timeout=5)
            assert t.cancel(name, reason="no need", job_events=True) == "cancelled"
            assert listener.get_message(timeout=5)["data"] == b"CANCELLED"
        record = t.record(name)
        assert (record["status"], record["last_error"]) == ("CANCELLED", "no need")
        assert t.client.ttl(t.keyspace.job(name)) == pytest.approx(86_400, abs=5)
        assert t.cancel(name) == "finished"
    assert t.queued() == []
    assert t.client.exists(t.keyspace.idempotency("u")) == 0
    assert t.audit(job_events=True) == ()


def test_a_running_job_is_asked_to_end(t: Transitions) -> None:
    """Its orchestrator finds one request in its list, however often it is asked (T10)."""
    t.start("j")
    for _ in range(3):
        assert t.cancel("j") == "requested"
    assert t.record("j")["cancel_requested_at"] == "2026-01-01T12:00:00.000Z"
    assert t.client.lrange(t.keyspace.control("a"), 0, -1) == [b"cancel j 1"]
    assert 0 < t.client.ttl(t.keyspace.control("a")) <= 3600
    assert t.record("j")["status"] == "ACTIVE"


def test_there_is_nothing_to_cancel(t: Transitions) -> None:
    """An unknown job is gone, one that has ended is finished; neither changes."""
    assert t.cancel("never-was") == "gone"
    t.end(t.start("j"), SettleKind.COMPLETE)
    before = read_keys(t.client, t.keyspace)
    assert t.cancel("j") == "finished"
    assert read_keys(t.client, t.keyspace) == before


def test_a_job_found_in_no_queue_can_be_cancelled(damaged: Transitions) -> None:
    """A waiting job that an accident took out of its queue still ends."""
    damaged.add("j")
    damaged.client.delete(damaged.keyspace.queue("default"))
    assert damaged.cancel("j") == "cancelled"
    assert damaged.audit() == ()


@pytest.mark.parametrize("named", [None, "", "elsewhere"])
def test_a_job_leaves_its_queue_whatever_its_record_names(t: Transitions, named: str | None) -> None:
    """A foreign producer may have left the name out, or given another one: no entry of the job stays."""
    for job_id in ("cancelled", "purged"):
        t.add(job_id, queue_name="media")
        if named is None:
            t.client.hdel(t.keyspace.job(job_id), "queue_name")
        else:
            t.client.hset(t.keyspace.job(job_id), "queue_name", named)
    assert t.cancel("cancelled") == "cancelled"
    assert t.purge("purged", waiting_only=True) == (OK,)
    assert t.queued("media") == []
    assert (t.counts("media")["cancelled"], t.counts("media")["purged"]) == (1, 1)


@pytest.mark.parametrize("status", ["weird", "", None])
def test_a_status_that_is_none_is_told_from_an_end(damaged: Transitions, status: str | None) -> None:
    """Nothing is changed: the next claim says what is wrong with the record."""
    damaged.add("j")
    if status is None:
        damaged.client.hdel(damaged.keyspace.job("j"), "status")
    else:
        damaged.client.hset(damaged.keyspace.job("j"), "status", status)
    before = read_keys(damaged.client, damaged.keyspace)
    assert damaged.cancel("j") == "malformed"
    assert read_keys(damaged.client, damaged.keyspace) == before


def test_requeue_is_a_fresh_start(t: Transitions) -> None:
    """Attempts, crashes, error, owner and TTL are gone, history stays; it is due in its own queue (T12)."""
    job = t.start("j", queue_name="default", unique_key="u")
    t.cancel("j")
    t.end(job, SettleKind.FAIL, "oops", charge=Charge.RETRY, attempts_log=b"[]")
    seq = t.record("j")["claim_seq"]
    t.client.xadd(t.keyspace.events("j"), {"event": "failed"})
    t.now_ms += 5000
    assert t.requeue("j") == (OK,)
    record = t.record("j")
    assert (record["status"], record["current_retries"], record["crash_count"]) == ("PENDING", "0", "0")
    gone = {"completion_time", "last_error", "worker_id", "dlq_name", "cancel_requested_at"}
    assert record.keys().isdisjoint(gone)
    assert (record["attempts_log"], record["claim_seq"]) == ("[]", seq)
    assert (t.queued(), t.due_ms("j"), t.dead()) == (["j"], NOON_MS + 5000, [])
    assert t.client.ttl(t.keyspace.job("j")) == -1
    assert t.client.exists(t.keyspace.events("j")) == 0
    assert t.client.get(t.keyspace.idempotency("u")) == b"j"
    assert t.requeue("j") == (RequeueReply.NOT_FAILED,)


def test_requeue_keeps_the_order_given(t: Transitions) -> None:
    """Jobs of one call become due in their order, in another queue if asked, and the queue is known."""
    for number in range(4):
        fail(t, f"j{number}")
    assert t.requeue("j2", "j0", "j3", "j1", target_queue="again") == (OK,) * 4
    assert (t.queued("again"), t.queued()) == (["j2", "j0", "j3", "j1"], [])
    assert t.record("j0")["queue_name"] == t.keyspace.queue("again")
    assert b"again" in set(t.client.smembers(t.keyspace.queues))
    assert ids(t.claim(queue="again").jobs) == ["j2", "j0", "j3", "j1"]


def test_requeue_puts_each_job_into_its_own_queue(t: Transitions) -> None:
    """Without another queue named, a job goes back to where it came from, not to the default one (U13)."""
    t.register("a")
    for number, queue in enumerate(("mail", "default", "media")):
        t.add(f"j{number}", queue_name=queue)
        t.end(t.claim(queue=queue).jobs[0], SettleKind.FAIL, "oops")
    assert t.requeue("j0", "j1", "j2") == (OK,) * 3
    assert [t.queued(queue) for queue in ("mail", "default", "media")] == [["j0"], ["j1"], ["j2"]]
    assert t.record("j0")["queue_name"] == t.keyspace.queue("mail")


def test_a_unique_key_is_taken_again_or_respected(t: Transitions) -> None:
    """A requeued job holds its key again; while another one holds it, the dead one stays dead (F88)."""
    fail(t, "old", unique_key="u")
    t.add("new", unique_key="u", defer_by=60)
    assert t.requeue("old") == (RequeueReply.UNIQUE,)
    assert t.dead() == ["old"]
    t.cancel("new")
    assert t.requeue("old", unique_ttl_seconds=100) == (OK,)
    assert t.client.pttl(t.keyspace.idempotency("u")) == pytest.approx(100_000, abs=5000)
    assert t.enqueue(Job("f", unique_key="u"))[0].kind is EnqueueKind.UNIQUE


@pytest.mark.parametrize("named", ["a\nb", "a b", "x" * 200])
def test_nothing_is_requeued_where_nobody_can_serve_it(t: Transitions, named: str) -> None:
    """A record that was malformed for its queue's name stays dead until a queue is named for it (F83)."""
    fail(t, "j")
    t.client.hset(t.keyspace.job("j"), "queue_name", f"{t.keyspace.prefix}:queue:{named}")
    assert t.requeue("j") == (RequeueReply.BAD_QUEUE,)
    assert (t.dead(), t.record("j")["status"]) == (["j"], "FAILED")
    assert t.requeue("j", target_queue="good") == (OK,)
    assert t.queued("good") == ["j"]


def test_only_dead_letters_are_requeued(t: Transitions) -> None:
    """Jobs that wait, run, are gone, or are in another DLQ are told apart and left alone."""
    t.start("active")
    fail(t, "elsewhere", dlq_name="other")
    t.add("pending")
    t.client.lpush(t.keyspace.dlq("default"), "ghost")
    assert t.requeue("active", "pending", "elsewhere", "ghost") == (
        RequeueReply.NOT_FAILED, RequeueReply.NOT_FAILED, RequeueReply.NOT_IN_DLQ, RequeueReply.GONE
    )  # fmt: skip
    assert (t.dead(), t.dead("other")) == ([], ["elsewhere"])


@pytest.mark.parametrize("newest_first", [True, False])
def test_many_dead_letters_are_requeued_quickly(t: Transitions, newest_first: bool) -> None:
    """In the order of the list, from either end, an entry is found without looking at the others."""
    names = bury(t, 3000)
    order = names[::-1] if newest_first else names
    t.client.config_resetstat()
    for start in range(0, len(order), 100):
        assert t.requeue(*order[start : start + 100]) == (OK,) * 100
    info: dict[str, dict[str, float]] = t.client.info("commandstats")
    assert info["cmdstat_lrem"]["usec_per_call"] < 10
    assert (t.dead(), len(t.queued())) == ([], 3000)


@pytest.mark.parametrize("step", [1, 3, 40])
def test_dead_letters_are_found_where_they_stand(t: Transitions, step: int) -> None:
    """With their places, some of many are taken out in a few looks at the list; the others keep their order
    (T12, T13)."""
    names = bury(t, 1200)
    wanted = list(range(0, 1200, step))
    t.client.config_resetstat()
    half = len(wanted) // 2
    for act, part, taken in ((t.requeue, wanted[:half], 0), (t.purge, wanted[half:], half)):
        answers = act(*(names[place] for place in part), places=[place - taken for place in part])
        assert answers == (OK,) * len(part)
    left = [name for place, name in enumerate(names) if place not in set(wanted)]
    assert t.dead() == left[::-1]
    assert t.queued() == [names[place] for place in wanted[:half]]
    looks = t.client.info("commandstats")["cmdstat_lrem"]["calls"]
    assert looks <= (len(wanted) if step == 1 else 40)
    assert t.audit() == ()


def test_what_stands_elsewhere_is_left_alone(t: Transitions) -> None:
    """A place that is no longer right is said, nothing is done to that job, and the others go on."""
    names = bury(t, 30)
    t.client.lpush(t.keyspace.dlq("default"), "ghost")
    moved = RequeueReply.MOVED
    assert t.requeue(names[2], names[20], names[21], places=[2, 19, 21]) == (OK, moved, OK)
    assert t.purge(names[0], names[29], places=[0, 29]) == (OK, moved)
    t.now_ms += 1
    assert t.requeue(names[1], names[1], places=[0, 0]) == (OK, RequeueReply.NOT_FAILED)
    assert t.requeue("ghost", places=[3]) == t.purge("ghost", places=[99]) == (moved,)
    assert t.requeue("ghost", places=[26]) == (RequeueReply.GONE,)
    left = [name for name in names if name not in {names[at] for at in (0, 1, 2, 21)}]
    assert t.dead() == left[::-1]
    assert t.queued() == [names[2], names[21], names[1]]
    assert t.audit() == ()


def test_purge_deletes_what_has_ended(t: Transitions) -> None:
    """Record, events and DLQ entry go together, whichever DLQ it is in; what waits or runs is busy (T13)."""
    fail(t, "dead")
    fail(t, "elsewhere", dlq_name="other")
    t.end(t.start("done"), SettleKind.COMPLETE)
    t.start("active")
    t.add("pending", unique_key="u")
    t.client.xadd(t.keyspace.events("dead"), {"event": "failed"})
    names = ("dead", "elsewhere", "done", "active", "pending", "never-was")
    busy, gone = RequeueReply.BUSY, RequeueReply.GONE
    assert t.purge(*names) == (OK, OK, OK, busy, busy, gone)
    assert t.purge(*names, waiting_too=True) == (gone, gone, gone, busy, OK, gone)
    assert (t.dead(), t.dead("other"), t.queued(), t.held()) == ([], [], [], ["active"])
    assert t.client.keys(f"{t.keyspace.prefix}:job:*") == [t.keyspace.job("active").encode()]
    assert t.client.exists(t.keyspace.events("dead"), t.keyspace.idempotency("u")) == 0


def test_purge_can_be_kept_to_what_waits(t: Transitions) -> None:
    """With waiting_only, jobs that ended meanwhile keep their records and results."""
    t.end(t.start("done"), SettleKind.COMPLETE)
    t.start("active")
    t.add("pending", unique_key="u")
    busy = RequeueReply.BUSY
    assert t.purge("done", "active", "pending", waiting_only=True) == (busy, busy, OK)
    assert (t.record("done")["status"], t.queued()) == ("COMPLETED", [])


def test_all_entries_of_an_id_go(t: Transitions) -> None:
    """Of an id that is listed more than once all places are told; all its entries are taken out, or none."""
    names = bury(t, 40)
    for name in (names[5], names[30], names[5]):
        t.client.lpush(t.keyspace.dlq("default"), name)
    wrong = [[41, 5], [42, 40, 5]]
    assert t.requeue(names[30], names[5], places=wrong) == (RequeueReply.MOVED, OK)
    assert t.purge(names[2], names[20], names[30], places=[2, 19, [39, 29]]) == (OK, OK, OK)
    assert t.dead() == [each for each in reversed(names) if each not in {names[at] for at in (2, 5, 20, 30)}]
    assert t.queued() == [names[5]]
    assert t.audit() == ()
