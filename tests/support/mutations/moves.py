"""Defects in the Lua scripts that concern jobs that are moved or put off, their unique keys, and repeats."""

from collections.abc import Iterator

from support.mutations.mutant import Edit, Mutant

__all__ = ["MUTANTS"]

_TESTS = "packages/rrq-protocol/tests/transitions"


def _lua(tag: str, title: str, script: str, old: str, new: str, *tests: str) -> Mutant:
    edit = Edit(f"rrq_protocol/lua/{script}", old, new)
    return Mutant(tag, title, (edit,), tuple(f"{_TESTS}/{test}" for test in tests))


def _keys() -> Iterator[Mutant]:
    yield _lua(
        "unique-put-off",
        "a retry leaves the unique key to run out before the job is due again",
        "settle.lua",
        "  hold_on(prefix, r.held[UNIQUE], r.id, due - now)\n",
        "",
        "test_unique_keys.py::test_a_key_waits_with_its_job",
    )
    yield _lua(
        "unique-running",
        "the unique key runs out while its job runs",
        "claim.lua",
        "if unique_key then hold_on(",
        "if false then hold_on(",
        "test_unique_keys.py::test_a_key_lasts_as_long_as_an_attempt_may",
    )
    yield _lua(
        "unique-waiting",
        "the unique key of a job that waits past its time is not renewed",
        "repair.lua",
        "if left >= 0 and left < ahead + ttl then",
        "if false then",
        "test_unique_keys.py::test_the_key_of_a_job_that_waits_long_is_renewed",
    )
    yield _lua(
        "repeat-without-status",
        "the repeat of an end is taken for another one where the status is gone by then",
        "settle.lua",
        'return not status and type(redis.pcall("ZSCORE", KEYS[1], id)) == "string"',
        "return not status",
        "test_lost_status.py::test_an_end_is_written_once_though_the_status_is_gone",
    )
    yield _lua(
        "unique-robbed",
        "a job takes its unique key back from the one that has it by now",
        "include/unique.lua",
        'if not unique_key or unique_key == "" or unique_holder(prefix, unique_key, job_id) then return end',
        'if not unique_key or unique_key == "" then return end',
        "test_unique_keys.py::test_a_key_of_another_is_left_to_it",
    )
    yield _lua(
        "unique-unmoved",
        "a debounced call is dropped because the job it should move holds its unique key",
        "enqueue.lua",
        'type(gathering) == "string" and move_pending(gathering, r, due) or standing(r, due, size)',
        'standing(r, due, size) or type(gathering) == "string" and move_pending(gathering, r, due)',
        "test_unique_keys.py::test_a_call_may_move_the_job_that_holds_its_key",
    )
    yield _lua(
        "unique-untaken",
        "a job that is moved by a call with a unique key does not take the key",
        "enqueue.lua",
        "  move_key(job_id, job_key, held[3], r, due)\n",
        "",
        "test_unique_keys.py::test_a_moved_job_takes_the_key_of_the_call",
    )


def _calls() -> Iterator[Mutant]:
    yield _lua(
        "repeat-moved",
        "the repeat of a call that moved a job, which has started since, makes another job",
        "include/calls.lua",
        'if type(calls) ~= "string" or name == "" then return nil end',
        "if true then return nil end",
        "test_calls.py::test_a_repeat_after_the_start_is_no_second_job",
    )
    yield _lua(
        "calls-for-ever",
        "what is kept of calls grows with each",
        "include/calls.lua",
        "if #all <= CALLS_BYTES then return all end",
        "if true then return all end",
        "test_calls.py::test_what_is_kept_of_calls_is_bounded",
    )
    yield _lua(
        "ended-rescheduled",
        "to reschedule a job that has ended does nothing, and says nothing",
        "enqueue.lua",
        '  if is_terminal(held[1]) then return { "ended", r.id } end\n',
        "",
        "test_enqueue.py::test_a_job_that_has_ended_is_not_rescheduled",
    )


MUTANTS = (*_keys(), *_calls())
