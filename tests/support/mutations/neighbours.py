"""Defects in the Lua scripts that concern others: operators, observers, orchestrators of the public line."""

from collections.abc import Iterator

from support.mutations.mutant import Edit, Mutant

__all__ = ["MUTANTS"]

_TESTS = "packages/rrq-protocol/tests/transitions"


def _lua(tag: str, title: str, script: str, old: str, new: str, *tests: str) -> Mutant:
    edit = Edit(f"rrq_protocol/lua/{script}", old, new)
    return Mutant(tag, title, (edit,), tuple(f"{_TESTS}/{test}" for test in tests))


def _beside() -> Iterator[Mutant]:
    yield _lua(
        "purge-running",
        "a job in a runner's hands is deleted",
        "purge.lua",
        'if status == "ACTIVE" or (not is_terminal(status) and which == "terminal") then return "busy" end',
        'if not is_terminal(status) and which == "terminal" then return "busy" end',
        "test_ending.py::test_purge_deletes_what_has_ended",
    )
    yield _lua(
        "doubled",
        "of a dead letter that is listed twice one entry stays",
        "include/dead.lua",
        "  for at = 1, #entries do\n",
        "  for at = 1, 0 do\n",
        "test_ending.py::test_all_entries_of_an_id_go",
    )
    yield _lua(
        "suspects-anywhere",
        "a claim brings suspects there is no place for",
        "claim.lua",
        "return alone and free[alone] and alone or runner",
        "return runner",
        "test_suspects.py::test_suspects_wait_in_the_queue_for_a_place",
    )
    yield _lua(
        "foreign-lock",
        "a job that an orchestrator of the public line has locked is claimed",
        "claim.lua",
        "return not lock and (free[capacity] or 1) > 0",
        "return (free[capacity] or 1) > 0",
        "test_claim.py::test_upstream_locks_are_respected_and_written_when_asked",
    )
    yield _lua(
        "beat-adds",
        "a beat after the fence adds the lease again",
        "heartbeat.lua",
        '"XX", "GT", "CH"',
        '"GT", "CH"',
        "test_lease.py::test_fence_and_beat_decide_by_order",
    )
    yield _lua(
        "beat-goes-back",
        "a beat after the clock stepped back lets an observer see a lease it has seen before",
        "heartbeat.lua",
        '"XX", "GT", "CH"',
        '"XX", "CH"',
        "test_lease.py::test_every_beat_shows_life",
    )


MUTANTS = tuple(_beside())
