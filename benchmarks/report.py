"""The figures of a run: gathered, printed as tables, written as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.numbers import Summary, summary

__all__ = ["FORMAT", "Row", "Report", "number"]

FORMAT = 1
OURS = "rrq"


class Row(NamedTuple):
    """One figure of one case: what each system reached in each round.

    Attributes:
        benchmark: Which benchmark it belongs to.
        case: The load, e.g. ``2×64``.
        figure: What is measured, e.g. ``throughput``.
        unit: Its unit.
        rounds: Values by system key.
    """

    benchmark: str
    case: str
    figure: str
    unit: str
    rounds: dict[str, list[float]]

    def summaries(self) -> dict[str, Summary]:
        """Return median and extremes by system key."""
        return {key: summary(values) for key, values in self.rounds.items() if values}

    def ratio(self, other: str) -> float | None:
        """Return our median divided by that of another system."""
        found = self.summaries()
        if OURS not in found or other not in found or not found[other].median:
            return None
        return found[OURS].median / found[other].median


class Report:
    """Rows by benchmark, case and figure, in the order they were first met.

    Args:
        systems: Name in tables by system key, ours first.
    """

    def __init__(self, systems: Mapping[str, str]) -> None:
        self.systems = dict(systems)
        self.notes: list[str] = []
        self._rows: dict[tuple[str, str, str], Row] = {}

    def add(self, benchmark: str, case: str, figure: str, unit: str, system: str, value: float) -> None:
        """Take in the value of one round."""
        row = self._rows.setdefault((benchmark, case, figure), Row(benchmark, case, figure, unit, {}))
        row.rounds.setdefault(system, []).append(value)

    def row(self, benchmark: str, case: str, figure: str) -> Row | None:
        """Return a row, None if it was not measured."""
        return self._rows.get((benchmark, case, figure))

    def rows(self, benchmark: str | None = None) -> list[Row]:
        """Return the rows of a benchmark, or all."""
        return [row for row in self._rows.values() if benchmark in (None, row.benchmark)]

    def lines(self, rows: Iterable[Row]) -> tuple[list[str], list[list[str]]]:
        """Return heading and cells of a table."""
        others = [key for key in self.systems if key != OURS]
        heading = [
            "case",
            "figure",
            "unit",
            *self.systems.values(),
            *(f"RRQ / {self.systems[k]}" for k in others),
        ]
        cells = []
        for row in rows:
            found = row.summaries()
            measured = [_spread(found[key]) if key in found else "–" for key in self.systems]
            ratios = [row.ratio(key) for key in others]
            cells.append(
                [row.case, row.figure, row.unit, *measured]
                + ["–" if ratio is None else f"{ratio:.3g}×" for ratio in ratios]
            )
        return heading, cells

    def document(self, *, machine: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything as it is written to JSON."""
        figures = []
        for row in self.rows():
            found = {
                key: {**values._asdict(), "rounds": row.rounds[key]}
                for key, values in row.summaries().items()
            }
            ratios = {key: row.ratio(key) for key in self.systems if key != OURS and key in row.rounds}
            figures.append(
                {
                    "benchmark": row.benchmark,
                    "case": row.case,
                    "figure": row.figure,
                    "unit": row.unit,
                    "systems": found,
                    "ratios": ratios,
                }
            )
        return {
            "format": FORMAT,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {**machine, **_machine()},
            "options": dict(options),
            "systems": self.systems,
            "notes": self.notes,
            "figures": figures,
        }

    def write(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a document, making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def _machine() -> dict[str, Any]:
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _spread(values: Summary) -> str:
    if values.low == values.high:
        return number(values.median)
    return f"{number(values.median)} ({number(values.low)}–{number(values.high)})"


def number(value: float) -> str:
    """Return a figure with three digits, and no fewer than it has before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
