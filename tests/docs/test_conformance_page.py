"""The page on conformance lists the checks there are."""

from pathlib import Path

from rrq_orchestrator.conformance import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_every_check_is_listed_as_it_is() -> None:
    """In order, with its requirement, level and transports."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    listed = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows][: len(CHECKS)]
    assert listed == [
        [
            f"`{check.name}`",
            check.requirement,
            str(check.level)
            + ("" if len(check.transports) == 3 else f", {' and '.join(sorted(check.transports))}"),
        ]
        for check in CHECKS
    ]
