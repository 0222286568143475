"""docs/reliability.md has a row for every goal, and the tests and commands it names are there."""

import re
from pathlib import Path

from support.chaos.options import parse
from support.goals.__main__ import GOALS
from support.pages.named import missing_tests, named_tests

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| G(?P<number>\d+) \|(?P<cells>.*)\|$")
COMMAND = re.compile(r"`make (?P<target>[a-z]+)(?: ARGS=\"?(?P<arguments>[^\"`]+)\"?)?`")
WANTED = (*range(1, 14), 15, 16, *range(19, 25))
VERDICTS = ("met", "not met", "in part")


def _rows() -> dict[int, list[str]]:
    lines = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    found = [row for line in lines if (row := ROW.match(line))]
    return {int(row["number"]): [cell.strip() for cell in row["cells"].split("|")] for row in found}


def test_every_goal_has_its_row() -> None:
    """With what is demanded, what shows it, what was seen, and a plain word for whether that is enough."""
    rows = _rows()
    assert list(rows) == list(WANTED)
    for number, cells in rows.items():
        assert len(cells) == 4, number
        assert all(cells), number
        assert cells[-1].startswith(VERDICTS), number


def test_what_a_row_names_is_there() -> None:
    """Tests, targets of the Makefile, measurements and options: a row cannot outlive what it is from."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for number, (_, shown, _, _) in _rows().items():
        commands = [
            (found["target"], (found["arguments"] or "").split()) for found in COMMAND.finditer(shown)
        ]
        assert named_tests(shown) or commands, number
        assert missing_tests(shown) == [], number
        assert [target for target, _ in commands if target not in targets] == [], number
        for target, arguments in commands:
            if target == "goals":
                assert arguments[0] in GOALS, number
            elif target == "chaos":
                assert parse(arguments).jobs > 0, number


def test_every_measurement_is_in_a_row() -> None:
    """Nothing is measured and kept silent about."""
    shown = " ".join(cells[1] for cells in _rows().values())
    assert [name for name in GOALS if f"`make goals ARGS={name}`" not in shown] == []
