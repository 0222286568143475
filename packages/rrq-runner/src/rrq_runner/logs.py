"""Log lines of a runner: an event name and fields, on stderr."""

import logging
import sys
from typing import Final, TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """``2026-01-31T12:00:00 INFO runner.listening address=/run/x.sock handlers=3``; values are escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Return the line without an exception's traceback."""
        fields = [f"{name}={_shown(value)}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().formatMessage(record), *fields])


class QuietHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream that handlers may have closed: a log line that cannot be written is no reason to
    fail.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Drop the line."""


def configure_logging() -> None:
    """Log this package's events to stderr, unless the program has set up logging itself."""
    logger = logging.getLogger("rrq_runner")
    if logging.getLogger().handlers or logger.handlers:
        return
    handler = QuietHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _shown(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if plain else ascii(text)
