"""Defects in the Lua scripts: who may write, what expires, what is given back."""

from collections.abc import Iterator

from support.mutations.mutant import Edit, Mutant

__all__ = ["MUTANTS"]

_TESTS = "packages/rrq-protocol/tests/transitions"
_CLAIM, _SETTLE, _RECOVER = "claim.lua", "settle.lua", "recover.lua"


def _in(script: str, old: str, new: str) -> Edit:
    return Edit(f"rrq_protocol/lua/{script}", old, new)


def _lua(tag: str, title: str, script: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(tag, title, (_in(script, old, new),), tuple(f"{_TESTS}/{test}" for test in tests))


def _upstream() -> Iterator[Mutant]:
    yield Mutant(
        "U2",
        "out of memory, the end is refused and the active entry goes all the same: the job is nowhere",
        (
            _in(_SETTLE, "remove_members(KEYS[1], ended)\nfor _, id", "for _, id"),
            _in(
                _SETTLE,
                "for _, r in ipairs(owned) do settle(r) end",
                "for _, r in ipairs(owned) do pcall(settle, r) end\nremove_members(KEYS[1], ended)",
            ),
        ),
        (f"{_TESTS}/test_refusals.py::test_a_full_memory_loses_no_attempt",),
    )
    yield _lua(
        "U4",
        "a dead orchestrator's job is left alone while its lock lives",
        _RECOVER,
        'local job_key = prefix .. ":job:" .. job_id\n',
        'local job_key = prefix .. ":job:" .. job_id\n'
        '  if redis.call("EXISTS", prefix .. ":lock:job:" .. job_id) == 1 then return end\n',
        "test_lease.py::test_a_lock_of_the_dead_goes_too",
    )
    yield _lua(
        "U8",
        "a job key of another type ends the claim after earlier candidates were claimed",
        _CLAIM,
        'local row = redis.pcall("HMGET"',
        'local row = redis.call("HMGET"',
        "test_damage.py::test_a_job_key_of_another_type_is_set_aside",
    )
    yield _lua(
        "U11",
        "a delay is not clamped: the score becomes infinite, or lies before all others",
        "include/clock.lua",
        "return bounded(now + bounded(delay, 0, LATEST_MS), 0, LATEST_MS)",
        "return now + tonumber(delay)",
        "test_settle.py::test_a_delay_is_bounded",
    )
    yield _lua(
        "U12",
        "a claim does not read the status: what has ended runs again",
        _CLAIM,
        "if is_terminal(status) then return nil end",
        'if is_terminal(status) or status == "ACTIVE" then return true end',
        "test_claim.py::test_what_does_not_wait_is_not_run",
    )
    yield _lua(
        "line-gives-back",
        "a claim takes out of its queue what a janitor of the public line is giving back",
        _CLAIM,
        "if lock then return false else return nil end",
        "return nil",
        "test_claim.py::test_a_job_that_is_being_given_back_stays_in_its_queue",
    )
    yield _lua(
        "line-lock",
        "the lock of a dead orchestrator of the public line holds its jobs up",
        _RECOVER,
        'if claim == "" or string.find(',
        "if string.find(",
        "test_lease.py::test_a_lock_of_a_dead_one_of_the_public_line_goes_too",
    )
    yield _lua(
        "U13",
        "a requeued job keeps its TTL",
        "requeue.lua",
        '  redis.call("PERSIST", job_key)\n',
        "",
        "test_ending.py::test_requeue_is_a_fresh_start",
    )
    yield _lua(
        "U13b",
        "a requeued job goes to the default queue instead of its own",
        "requeue.lua",
        'target ~= "" and target or queue_of(prefix, held[2])',
        'target ~= "" and target or "default"',
        "test_ending.py::test_requeue_puts_each_job_into_its_own_queue",
    )
    yield _lua(
        "U13c",
        "a requeued job keeps its spent attempts",
        "requeue.lua",
        '"status", "PENDING", "current_retries", "0", "crash_count", "0",',
        '"status", "PENDING", "crash_count", "0",',
        "test_ending.py::test_requeue_is_a_fresh_start",
    )
    yield _lua(
        "U14",
        "an end is written whoever sends it: no owner test",
        _SETTLE,
        "  if held[WORKER] ~= me then\n",
        "  if not held[STATUS] then\n",
        "test_settle.py::test_only_owner_and_token_may_settle",
    )
    yield _lua(
        "U14b",
        "the owner is its id alone, without the token of the claim",
        _SETTLE,
        '  if (held[SEQ] or "") ~= seq then return "stale" end\n',
        "",
        "test_settle.py::test_only_owner_and_token_may_settle",
    )
    yield _lua(
        "made-anew",
        "the end of a job that was deleted closes the one that was enqueued under its id since",
        _SETTLE,
        '  if started ~= "" and held[STARTED] ~= started then return "stale" end\n',
        "",
        "test_settle.py::test_a_record_made_anew_takes_no_end_of_the_one_before",
    )
    yield _lua(
        "U15",
        "whoever comes back from a pause gives back the job that another one runs",
        _SETTLE,
        '  if answer == "ok" then\n',
        '  if answer == "ok" or (answer == "stale" and kind == "release") then\n',
        "test_settle.py::test_only_owner_and_token_may_settle",
    )
    yield _lua(
        "U17",
        "jobs are claimed without asking whether their runner has a free slot",
        _CLAIM,
        "return not lock and (free[capacity] or 1) > 0",
        "return not lock",
        "test_claim.py::test_no_runner_gets_more_than_it_has_room_for",
    )
    yield _lua(
        "U20",
        "a claim looks a bounded way ahead and never further: what cannot run hides what can",
        _CLAIM,
        "local hidden = more and claimed",
        "local hidden = false and claimed",
        "test_claim.py::test_a_long_row_of_full_runners_hides_nothing",
    )
    yield _lua(
        "U21",
        "an unreadable field ends the recovery, and each one after it",
        _RECOVER,
        "plus_one(held[3])",
        "whole(tonumber(held[3] or 0) + 1)",
        "test_lease.py::test_an_odd_crash_count_cannot_break_recovery",
    )
    yield _lua(
        "U21b",
        "a job key of another type ends the recovery",
        _RECOVER,
        'local held = redis.pcall("HMGET"',
        'local held = redis.call("HMGET"',
        "test_damage.py::test_a_job_key_of_another_type_is_set_aside",
    )
    yield _lua(
        "U25",
        "the end of a deleted job is written: it comes back as a fragment",
        _SETTLE,
        "  if held[WORKER] ~= me then\n",
        '  if not held[STATUS] then\n    ended[#ended + 1] = id\n    return "ok"\n  end\n'
        "  if held[WORKER] ~= me then\n",
        "test_settle.py::test_no_job_comes_back_from_nothing",
    )
    yield _lua(
        "U27",
        "only a pending job can be cancelled",
        "cancel.lua",
        'if status ~= "PENDING" and status ~= "RETRYING" then',
        'if status ~= "PENDING" then',
        "test_ending.py::test_a_waiting_job_is_cancelled_at_once",
    )
    yield _lua(
        "U27a",
        "a running job cannot be cancelled",
        "cancel.lua",
        'if status == "ACTIVE" then',
        "if false then",
        "test_ending.py::test_a_running_job_is_asked_to_end",
    )
    yield _lua(
        "U27b",
        "the record of a cancelled job never expires",
        "cancel.lua",
        "keep_for(KEYS[1], ARGV[4])\n",
        "",
        "test_ending.py::test_a_waiting_job_is_cancelled_at_once",
    )
    yield _lua(
        "U27c",
        "a cancelled job keeps its unique key",
        "cancel.lua",
        "release_unique(prefix, job_id, held[5])\n",
        "",
        "test_ending.py::test_a_waiting_job_is_cancelled_at_once",
    )
    yield _lua(
        "U22",
        "what tells that a tick was fired is its job, and that has expired",
        "enqueue.lua",
        "if last and last >= tonumber(r.guard_ttl)",
        "if false and last >= tonumber(r.guard_ttl)",
        "test_cron.py::test_a_tick_is_fired_once",
    )
    yield _lua(
        "U22b",
        "a tick counts as fired though its job could not be stored",
        "enqueue.lua",
        'if not queue_usable(r.queue) then return { "wrong_type", r.id } end\n',
        'if r.guard == "tick" then\n'
        '    redis.pcall("HSET", prefix .. ":cron:" .. r.guard_key, "tick", r.guard_ttl)\n'
        "  end\n"
        '  if not queue_usable(r.queue) then return { "wrong_type", r.id } end\n',
        "test_cron.py::test_keys_of_the_wrong_type_are_told",
    )


def _named() -> Iterator[Mutant]:
    yield _lua(
        "persist",
        "a job starts with the TTL that another tool left on it",
        _CLAIM,
        '  redis.call("PERSIST", job_key)\n',
        "",
        "test_claim.py::test_a_live_job_loses_its_ttl",
    )
    yield _lua(
        "live-ttl",
        "a job that goes back to its queue gets the TTL of one that has ended",
        _SETTLE,
        "  put_in_queue(prefix, r.queue, due, r.id)\n",
        "  put_in_queue(prefix, r.queue, due, r.id)\n  keep_for(r.key, r.ttl)\n",
        "test_settle.py::test_retry_waits_for_its_time",
    )
    yield _lua(
        "unique",
        "the unique key is deleted whoever holds it",
        "include/unique.lua",
        'if redis.pcall("GET", key) == job_id then redis.call("DEL", key) end',
        'redis.call("DEL", key)',
        "test_enqueue.py::test_nobody_frees_the_key_of_another",
    )
    yield _lua(
        "unique-kept",
        "the unique key outlives its job",
        _SETTLE,
        "  release_unique(prefix, r.id, r.held[UNIQUE])\n",
        "",
        "test_enqueue.py::test_a_unique_key_is_free_when_its_job_ends",
    )
    yield _lua(
        "recover-guard",
        "jobs are taken from an orchestrator that was not fenced",
        _RECOVER,
        "if not fenced then return { 0, 0, 0, 0, 0 } end\n",
        "",
        "test_lease.py::test_nothing_is_taken_from_the_living",
    )
    yield _lua(
        "recover-owner",
        "a dead orchestrator's list is believed, whoever holds the job by now",
        _RECOVER,
        'if is_wrong_type(held) or (held[1] or "ACTIVE") ~= "ACTIVE" or held[2] ~= dead then',
        'if is_wrong_type(held) or (held[1] or "ACTIVE") ~= "ACTIVE" then',
        "test_lease.py::test_entries_of_others_are_dropped_not_taken",
    )
    yield _lua(
        "fence-guard",
        "an orchestrator is fenced although its lease has changed since it was looked at",
        "fence.lua",
        "if not held or tonumber(held) ~= tonumber(ARGV[3]) then return 0 end",
        "if not held then return 0 end",
        "test_lease.py::test_fence_and_beat_decide_by_order",
    )
    yield _lua(
        "beat-revives",
        "a beat after the fence puts the lease back",
        "heartbeat.lua",
        "if not held then return 0 end",
        'if not held then held = "0" end',
        "test_lease.py::test_fence_and_beat_decide_by_order",
    )
    yield _lua(
        "fenced-claims",
        "a fenced orchestrator goes on claiming",
        _CLAIM,
        'if spoilt or not redis.call("ZSCORE", KEYS[1], me) then return { "fenced" } end',
        'if spoilt then return { "fenced" } end',
        "test_claim.py::test_only_a_living_orchestrator_claims",
    )
    yield _lua(
        "leaves-unreaped",
        "an orchestrator that leaves with jobs is in neither list",
        "deregister.lua",
        'if left > 0 then redis.call("ZADD", KEYS[4], "NX", whole(clock_ms(ARGV[2])), ARGV[1]) end\n',
        "",
        "test_lease.py::test_jobs_held_at_a_stop_go_to_the_janitors",
    )
    yield _lua(
        "token",
        "a claim does not raise the token",
        _CLAIM,
        "local seq = whole((row[SEQ] or 0) + 1)",
        "local seq = whole(math.max(row[SEQ] or 1, 1))",
        "test_claim.py::test_a_token_is_never_used_twice",
    )
    yield _lua(
        "repeat",
        "the repeat of an end whose answer was lost is taken for another end",
        _SETTLE,
        'if held[STATUS] ~= "ACTIVE" and not lost_its_status(id, held[STATUS]) then return "already" end',
        "",
        "test_settle.py::test_settling_again_changes_nothing",
    )
    yield _lua(
        "repeat-enqueue",
        "the repeat of an enqueue whose answer was lost is taken for another job",
        "enqueue.lua",
        'redis.call("HGET", r.key, "payload_digest") == r.digest and "exists" or "taken"',
        '"taken"',
        "test_enqueue.py::test_a_repeat_changes_nothing",
    )
    yield _lua(
        "budget",
        "one attempt more than the record allows",
        _SETTLE,
        "if allowed and tonumber(retries) >= allowed then",
        "if allowed and tonumber(retries) > allowed then",
        "test_settle.py::test_the_record_decides_when_attempts_are_spent",
    )
    yield _lua(
        "crash-budget",
        "one crash of its orchestrator more than a job is allowed",
        _RECOVER,
        "elseif crashes >= max_crashes then",
        "elseif crashes > max_crashes then",
        "test_lease.py::test_crashes_are_spaced_and_then_end_it",
    )
    yield _lua(
        "events-for-ever",
        "the stream of an ended job's events never expires",
        "include/close.lua",
        "  keep_for(key, ttl)\nend\n\n-- A DLQ",
        "end\n\n-- A DLQ",
        "test_settle.py::test_waiters_are_told",
    )
    yield _lua(
        "silent-end",
        "the end of a job is not announced",
        "include/close.lua",
        '  redis.pcall("PUBLISH", prefix .. ":done:" .. job_id, status)\n',
        "",
        "test_settle.py::test_waiters_are_told",
    )
    yield _lua(
        "wake",
        "a claim that leaves ready jobs behind leaves no marker for the next orchestrator",
        _CLAIM,
        "    wake(prefix, queue)\n",
        '    redis.call("DEL", prefix .. ":wake:" .. queue)\n',
        "test_claim.py::test_the_reply_is_bounded",
    )
    yield _lua(
        "cancel-forgotten",
        "a job that was asked to end, and failed first, gets another attempt",
        _SETTLE,
        'if GOES_BACK[r.kind] and redis.call("HEXISTS", r.key, "cancel_requested_at") == 1 then',
        "if false then",
        "test_settle.py::test_a_job_asked_to_end_gets_no_further_attempt",
    )
    yield _lua(
        "two-places",
        "a claimed job stays in its queue",
        _CLAIM,
        "    remove_members(queue_key, gone)\n",
        "",
        "test_claim.py::test_a_claimed_job_brings_all_that_dispatch_needs",
    )


MUTANTS = (*_upstream(), *_named())
