"""What a run of tests tried, in numbers: what a green run is worth. The root conftest.py prints it at the
end.
"""

from collections import Counter

__all__ = ["MARK", "Tried"]

MARK = "tried: "
"""How each line begins; `.ci/run` shows those of every run by it."""


class Tried:
    """Gathers lines and counts of all tests of a session."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._counts: Counter[str] = Counter()

    def say(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a number that several tests make up."""
        self._counts[what] += number

    def lines(self, seed: int) -> list[str]:
        """Return everything for the terminal, with the seed of the run; nothing if nothing was told."""
        told = [*self._lines, *(f"{what}: {number:,}" for what, number in sorted(self._counts.items()))]
        return [MARK + each for each in (f"with RRQ_TEST_SEED={seed}", *told)] if told else []
