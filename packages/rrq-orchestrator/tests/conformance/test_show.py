"""Findings are told with their bytes, and nothing in them drives a terminal."""

import json

from rrq_orchestrator.conformance.checks import CHECKS
from rrq_orchestrator.conformance.show import as_json, dump, head, row, summary
from rrq_orchestrator.conformance.verdict import Outcome, Verdict

HOSTILE = "\x1b[2J\u202e\x07"
BAD = Outcome(CHECKS[2], Verdict.FAIL, HOSTILE * 500, b"\x00\x01abc" * 100, b"", (HOSTILE,) * 20)
GOOD = Outcome(CHECKS[0], Verdict.PASS, HOSTILE)


def test_a_row_is_one_line() -> None:
    """Of a check that passed: result, name, requirement, remark."""
    (line,) = row(GOOD)
    assert line.startswith("pass    starts ")
    assert line.isprintable()
    assert head().split() == ["result", "check", "requirement", "remark"]


def test_a_finding_has_its_bytes() -> None:
    """Bounded, escaped, as numbers and as text."""
    lines = list(row(BAD))
    assert lines[0].startswith("fail    echo ")
    assert all(line.isprintable() for line in lines)
    assert len("\n".join(lines)) < 4000
    assert "        the last bytes sent:" in lines
    assert "        nothing received" in lines


def test_a_dump_shows_numbers_and_text() -> None:
    """Sixteen to a line, the last ones if there are many."""
    assert list(dump(b"\x00\x7fab" + b"c" * 14)) == [
        "00 7f 61 62 63 63 63 63 63 63 63 63 63 63 63 63  ..abcccccccccccc",
        f"{'63 63':<47}  cc",
    ]
    assert len(list(dump(bytes(10_000)))) == 8


def test_a_document_is_json() -> None:
    """With the bytes of what did not pass."""
    document = json.loads(json.dumps(as_json(["run", "me"], "unix", [GOOD, BAD])))
    assert document["conforms"] is False
    assert "sent" not in document["checks"][0]
    assert bytes.fromhex(document["checks"][1]["sent"]["hex"]) == BAD.sent
    assert len(document["checks"][1]["detail"]) < 4000


def test_the_last_line_says_it() -> None:
    """How many passed, and what that means."""
    assert summary([GOOD]) == "1 of 1 checks passed: the runner conforms"
    noted = Outcome(CHECKS[0], Verdict.NOTE)
    assert (
        summary([GOOD, BAD, noted]) == "1 of 3 checks passed, 1 failed, 1 noted: the runner does not conform"
    )
