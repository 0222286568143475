"""What is a cron expression, and what is none. What they mean: test_schedule.py."""

import pytest

from rrq_orchestrator.cron.expression import BadSchedule, read_expression

STARS = ["*"] * 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", "* * * * * *"),
        ("* * * * *", "0 * * * * *"),
        ("@HOURLY", "0 0 * * * *"),
        ("*/1 0-59 0-23 1-31 1-12 0-6", "* * * * * *"),
        ("00 05,5 5-5 1-31/10 jan-Mar,12 sun,7", "0 5 5 1,11,21,31 1,2,3,12 0"),
        (
            "5/20 50-10/10 22-2 30-2 nov-feb fri-mon",
            "5,25,45 0,10,50 0,1,2,22,23 1,2,30,31 1,2,11,12 0,1,5,6",
        ),
        ("0 0 0 L,1 * *", "0 0 0 1,l * *"),
        ("0 0 0 ? * ?", "0 0 0 * * *"),
        ("0 0 0 * * mon#2", "0 0 0 * * 1#2"),
        ("0 0 0 * * l7,7#1", "0 0 0 * * l0,0#1"),
        ("0 0 0 * * 0-7", "0 0 0 * * *"),
        ("0 0 0 * * 7-0", "0 0 0 * * 0"),
        ("0 0 0 * * 7-2,5-7", "0 0 0 * * 0,1,2,5,6"),
        ("*/999 * * * * *", "0 * * * * *"),
    ],
)
def test_fields_become_numbers(text: str, expected: str) -> None:
    """Names, ranges, also over the end, steps and lists: croniter is left to read numbers only, on which all
    its versions agree."""
    assert " ".join(read_expression(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * * 8", "60 * * * * *", "*/0 * * * *", "*/00 * * * *", "1- * * * *",
        "1--2 * * * *", "a * * * *", "R * * * *", "H * * * *", "R(0-5) * * * *", "15W * * * *",
        "* * 15W * *", "* * * jann *", "* * * * mond", "* * * * mon#6", "* * * * mon#0", ", * * * *",
        "1, * * * *", "1,,2 * * * *", "@reboot", "@", "@daily @daily", "１ * * * *", "* * * * *" * 60,
        "-1 * * * *", "1.5 * * * *", "+1 * * * *", "0x1 * * * *", "* * * * *\0", "1/2/3 * * * *",
        "jan * * * *", "* * ? ? *", "* * L-3 * *", "5 4 3 mon *", "\ud800 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """Also one that never comes, and forms whose meaning differs between two processes; the text is one
    printable line."""
    with pytest.raises(BadSchedule) as refusal:
        read_expression(text)
    said = str(refusal.value)
    assert said.startswith("expected ")
    assert said.isprintable()


def test_a_refusal_names_the_part() -> None:
    """What was expected where, and what came."""
    with pytest.raises(BadSchedule) as refusal:
        read_expression("0 8 * * mon-fir")
    said = (
        "expected 0 to 6, sun to sat, *, ranges or steps as day of week, got 'mon-fir' in '0 8 * * mon-fir'"
    )
    assert str(refusal.value) == said
