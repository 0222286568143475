"""docs/faults.md names a test for every fault, and the tests are there."""

import re
from pathlib import Path

from support.pages.named import missing_tests, named_tests

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| F(?P<number>\d+) \|(?P<cells>.*)\|$")
CATALOGUE = range(1, 100)


def _rows() -> dict[int, str]:
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    return {int(row["number"]): row["cells"] for line in lines if (row := ROW.match(line))}


def test_every_fault_has_its_row() -> None:
    """None is left out, and each row says what, how and where in all of its cells."""
    rows = _rows()
    assert list(rows) == list(CATALOGUE)
    for number, cells in rows.items():
        assert all(cell.strip() for cell in cells.split("|")), number


def test_every_row_names_tests_that_exist() -> None:
    """So a test that is renamed or goes takes its row along."""
    for number, cells in _rows().items():
        assert named_tests(cells), number
        assert missing_tests(cells) == [], number
