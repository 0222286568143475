"""Faults and jobs wait for each other; the machine's own pauses are told."""

import time
from pathlib import Path

from support.chaos.ledger import Acknowledged, Attempted, Seen, append, read_witness_from
from support.chaos.pacing import Gate, Pulse, Tally
from support.waiting import eventually


def _look(tally: Tally) -> None:
    """Have it look, however short after the last look."""
    tally._looked = 0.0
    tally.look()


def test_what_was_accepted_is_counted_as_it_is_written(tmp_path: Path) -> None:
    """Lines count once, and only when they are whole; jobs wait until a handler has seen them."""
    ledger, witness = tmp_path / "ledger", tmp_path / "witness"
    tally = Tally([ledger], witness)
    _look(tally)
    append(ledger, [Attempted("a", 1.0, "quick"), Acknowledged("a", 2.0), Acknowledged("b", 2.0)])
    with ledger.open("ab") as file:
        file.write(b'{"entry":"acknowledged","id":"c",')
    _look(tally)
    assert (tally.accepted, tally.waiting) == (2, 2)
    append(witness, [Seen("start", "a", "a.1", 1, 2, 3, "o", 4.0)])
    with ledger.open("ab") as file:
        file.write(b'"at":3.0}\n')
    _look(tally)
    assert (tally.accepted, tally.waiting) == (3, 2)


def test_a_witness_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    """Each line once; one that is still being written comes with the next look."""
    witness = tmp_path / "witness"
    assert read_witness_from(witness, 0) == ([], 0)
    first, second = (Seen("start", job, f"{job}.1", 1, 2, 3, "o", 4.0) for job in "ab")
    append(witness, [first, second])
    whole = witness.read_bytes()
    witness.write_bytes(whole[:-5])
    lines, there = read_witness_from(witness, 0)
    assert lines == [first]
    witness.write_bytes(whole)
    assert read_witness_from(witness, there) == ([second], len(whole))


def test_jobs_are_let_through_up_to_the_next_fault(tmp_path: Path) -> None:
    """A little beyond it, never fewer than before, and no more while too many wait for a handler."""
    path = tmp_path / "gate"
    gate, tally = Gate(path, 10_000), Tally([], tmp_path / "witness")
    assert path.read_text() == "0"
    tally.accepted = 900
    gate.move(0.1, tally, due=1000)
    assert path.read_text() == "900"
    gate.move(0.1, tally, due=0)
    opened = int(path.read_text())
    assert 900 < opened < 2000
    gate.move(0.0, tally, due=0)
    assert int(path.read_text()) == opened
    tally.accepted = 9_990
    gate.move(1.0, tally, due=0)
    assert path.read_text() == "10000"


def test_a_pause_of_the_machine_is_seen() -> None:
    """A thread that holds the interpreter for a while is one; when, and for how long, is kept."""
    began = time.monotonic()
    with Pulse() as pulse:
        eventually(lambda: sorted(range(2_000_000), key=lambda n: -n) and pulse.held(), "a pause to be seen")
    for at, late_s in pulse.held():
        assert began < at
        assert late_s > 0
