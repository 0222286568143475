"""Cron expressions and time zones from anywhere (RELIABILITY.md F55, S29, G15).

An input is ``{"text": "*/5 2 * * *", "zone": "Europe/Berlin", "at": 1767268800, "gap": "fire"}``.
"""

from collections.abc import Hashable, Iterable
from datetime import UTC
from itertools import islice
from typing import Any

from rrq_orchestrator.cron.expression import BadSchedule, read_expression
from rrq_orchestrator.cron.schedule import Schedule, find_zone
from support.fuzzing import Fuzz, Tree
from support.fuzzing.text import check_one_line

SHARE = 1 / 15  # 20,000 of 300,000
LIMIT_S = 1.0
TICKS = 2
LATEST = 7_258_118_400
TOKENS = (
    b"*", b"*/5", b"0", b"59", b"60", b"23", b"24", b"31", b"30", b"12", b"7", b"1-5", b"5-1", b"5-5",
    b"*/0", b"1,2,3", b"L", b"L5", b"mon#2", b"mon-fri", b"jan", b"dec", b"?", b"15W", b"R", b"H",
    b"H(0-5)", b"@daily", b"@yearly", b"@hourly", b"@reboot", b" ", b"\t", b",", b"-", b"/", b"#",
    b"1/2/3", b"0-59/1", b"29 2", b"* *", "１".encode(), "٣".encode(), b"Europe/Berlin",
    b"America/New_York", b"Pacific/Apia", b"Asia/Kathmandu", b"Australia/Lord_Howe", b"UTC", b"../UTC",
    b"fire", b"skip", b"text", b"zone", b"at", b"gap", b"1774746000", b"1792890000", b"7258118399",
)  # fmt: skip


def check(case: Any) -> Iterable[Hashable]:
    """An expression is refused in one line, or has ticks that grow, the same ones in both directions."""
    case = case if isinstance(case, dict) else {"text": case}
    text, name, gap = (str(case.get(key, "")) for key in ("text", "zone", "gap"))
    found: list[Hashable] = []
    zone = None
    try:
        zone = find_zone(name)
    except BadSchedule as error:
        check_one_line(error, 500)
        found.append("no zone")
    try:
        fields = read_expression(text)
        schedule = Schedule(text, zone or UTC, gap="skip" if gap == "skip" else "fire")
    except BadSchedule as error:
        check_one_line(error, 500)
        return [*found, "refused"]
    # What it was read as says the same when it is read again.
    assert read_expression(" ".join(fields)) == fields
    at = case.get("at")
    start = int(at) if isinstance(at, int) and abs(at) < 10**12 else 0
    ticks = [min(max(start, 0), LATEST)]
    while len(ticks) <= TICKS and (tick := schedule.after(ticks[-1])) is not None:
        assert tick > ticks[-1]
        ticks.append(tick)
    before = list(islice(schedule.until(ticks[-1]), len(ticks) - 1))
    assert before[::-1] == ticks[1:]
    shape = tuple(field[:1] if field[:1] in "*l" else min(field.count(","), 3) for field in fields)
    return [*found, "taken", ("zone", zone is not None and zone is not UTC), shape]


def test_any_text_is_a_schedule_or_is_refused(fuzz: Fuzz) -> None:
    """Any text as expression and any as zone, from any instant: refused with one printable line, or its ticks
    grow and are found in both directions; and none takes long.
    """
    report = fuzz.run("cron", Tree(TOKENS), check, share=SHARE, limit_s=LIMIT_S)
    if fuzz.only is None:
        assert {"taken", "refused", "no zone", ("zone", True), ("zone", False)} <= set(report.outcomes)
