"""Log lines are an event and fields, and data cannot forge them."""

import io
import logging

import pytest

from rrq_runner.logs import FieldFormatter, QuietHandler, configure_logging


def formatted(**fields: object) -> str:
    """Return the line of an event with fields, without its time."""
    record = logging.makeLogRecord({"msg": "runner.listening", "levelname": "INFO", **fields})
    return FieldFormatter().format(record).partition(" ")[2]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        (5, "5"),
        ("two words", "'two words'"),
        ("a\nb", r"'a\nb'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("", "''"),
    ],
)
def test_values_are_escaped_where_needed(value: object, shown: str) -> None:
    """Spaces, newlines and control characters cannot be taken for fields or lines."""
    assert formatted(address=value) == f"INFO runner.listening address={shown}"


def test_a_program_with_logging_of_its_own_keeps_it() -> None:
    """Nothing is added where the root logger has a handler, as it has in these tests."""
    logger = logging.getLogger("rrq_runner")
    before = list(logger.handlers)
    configure_logging()
    assert logger.handlers == before


def test_a_stream_that_was_closed_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """Handlers may close stderr; a line that cannot be written is dropped, without a word."""
    stream = io.StringIO()
    handler = QuietHandler(stream)
    stream.close()
    handler.handle(logging.makeLogRecord({"msg": "runner.stopped"}))
    assert capsys.readouterr() == ("", "")
