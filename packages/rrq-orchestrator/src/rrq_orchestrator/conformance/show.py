"""Outcomes as lines for people and as values for programs; what the runner said is escaped and bounded."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rrq_orchestrator.conformance.verdict import Kind, Outcome, Verdict, conforms
from rrq_orchestrator.log_text import cut, escape

__all__ = ["as_json", "dump", "head", "row", "summary"]

_DETAIL_CHARS: Final = 300
_ROW_BYTES: Final = 16
_DUMP_BYTES: Final = 128
_LAST_LINES: Final = 8
_REQUIREMENT_WIDE: Final = 52


def head() -> str:
    """Return the head of the table."""
    return f"{'result':<6}  {'check':<15}  {'requirement':<{_REQUIREMENT_WIDE}}  remark"


def row(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of one check: its row, and if it found something what, with the bytes around it."""
    check = outcome.check
    found = outcome.verdict is not Verdict.PASS
    remark = "" if found else _fit(outcome.detail)
    asked = f"{check.requirement:<{_REQUIREMENT_WIDE}}"
    yield f"{outcome.verdict:<6}  {check.name:<15}  {asked}  {remark}".rstrip()
    if not found:
        return
    yield f"        {_fit(outcome.detail)}"
    for what, data in (("sent", outcome.sent), ("received", outcome.received)):
        yield f"        the last bytes {what}:" if data else f"        nothing {what}"
        yield from (f"          {line}" for line in dump(data))
    for line in outcome.said[-_LAST_LINES:]:
        yield f"        the runner printed: {_fit(line)}"


def dump(data: bytes) -> Iterator[str]:
    """Yield the last bytes of ``data`` as lines of hexadecimal numbers with the text beside them."""
    data = data[-_DUMP_BYTES:]
    for start in range(0, len(data), _ROW_BYTES):
        part = data[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{part.hex(' '):<{3 * _ROW_BYTES - 1}}  {text}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the last line of the table."""
    counts = {verdict: sum(each.verdict is verdict for each in outcomes) for verdict in Verdict}
    said = f"{counts[Verdict.PASS]} of {len(outcomes)} checks passed"
    if failed := counts[Verdict.FAIL]:
        said += f", {failed} failed"
    if noted := counts[Verdict.NOTE]:
        said += f", {noted} noted"
    return f"{said}: {'the runner conforms' if conforms(list(outcomes)) else 'the runner does not conform'}"


def as_json(command: Sequence[str], kind: Kind, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return everything as one document."""
    return {
        "conforms": conforms(list(outcomes)),
        "command": list(command),
        "transport": kind,
        "checks": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": outcome.check.name,
        "requirement": outcome.check.requirement,
        "level": str(outcome.check.level),
        "result": str(outcome.verdict),
        "detail": cut(outcome.detail, 10 * _DETAIL_CHARS),
    }
    if outcome.verdict is not Verdict.PASS:
        for what, data in (("sent", outcome.sent), ("received", outcome.received)):
            entry[what] = {"hex": data.hex(), "text": data.decode("utf-8", "backslashreplace")}
        entry["output"] = list(outcome.said)
    return entry


def _fit(text: str) -> str:
    return cut(escape(text), _DETAIL_CHARS)
