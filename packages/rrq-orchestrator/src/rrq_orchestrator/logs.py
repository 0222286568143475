"""Structured logs of the orchestrator: an event name and fields, one line each (STYLE.md *Words*).

JSON when nobody watches, a readable form on a terminal. Writing never blocks the event loop (``log_writer``),
text of others cannot forge lines or steer a terminal, and credentials are masked (``log_text``). Only
:func:`configure` changes global state, and only the commands call it; an orchestrator inside somebody's
program logs as that program has configured structlog.
"""

import datetime as dt
import json
import logging
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from rrq_orchestrator.log_text import MAX_VALUE_CHARS, Masker, credentials_of, cut, escape
from rrq_orchestrator.log_writer import LogWriter
from rrq_protocol import Settings

__all__ = ["close", "configure", "get_logger"]

_MAX_ITEMS: Final = 100
_MAX_DEPTH: Final = 6
_MAX_TRACEBACK_CHARS: Final = 32 * 1024
_LEVELS: Final = logging.getLevelNamesMapping()
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_RESERVED: Final = ("timestamp", "level", "event", "exception")

_writer: LogWriter | None = None
_library_handler: logging.Handler | None = None


def configure(settings: Settings, *, fd: int = 2) -> FilteringBoundLogger:
    """Log as ``settings.log_format`` and ``settings.log_level`` say, and return a logger.

    Events below the level cost next to nothing. Messages of libraries (:mod:`logging`, from warnings on) and
    Python's warnings arrive in the same stream as ``library.log``. Call :func:`close` before the process
    ends.

    Args:
        settings: The password in ``redis_dsn`` is masked wherever it turns up.
        fd: Where to write; standard error by default.
    """
    global _writer
    close()
    on_terminal = _is_terminal(fd)
    mask = Masker(credentials_of(settings.redis_dsn.reveal()))
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and on_terminal)
    renderer = (
        _Pretty(mask, colours=on_terminal and not os.environ.get("NO_COLOR")) if pretty else _Json(mask)
    )

    def dropped_line(count: int) -> str:
        return renderer(None, "warning", _stamp(None, "warning", {"event": "log.dropped", "lines": count}))

    _writer = LogWriter(fd, dropped_line)
    structlog.configure(
        processors=[_stamp, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level.upper()]),
        logger_factory=_LineLoggerFactory(_writer),
        cache_logger_on_first_use=True,
    )
    _take_library_messages()
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


def get_logger(**fields: Any) -> FilteringBoundLogger:
    """Return a logger that adds ``fields`` to every event. Call :func:`configure` before its first use."""
    return cast("FilteringBoundLogger", structlog.get_logger(**fields))


def close(timeout_s: float = 1.0) -> None:
    """Write out what waits, for at most ``timeout_s``; what is logged later is dropped."""
    global _writer, _library_handler
    if _library_handler is not None:
        logging.getLogger().removeHandler(_library_handler)
        logging.captureWarnings(False)
        _library_handler = None
    if _writer is not None:
        _writer.close(timeout_s)
        _writer = None


class _LineLogger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write
        self.warn, self.fatal, self.exception, self.msg = self.warning, self.critical, self.error, self.info


class _LineLoggerFactory:
    def __init__(self, writer: LogWriter) -> None:
        self._logger = _LineLogger(writer)

    def __call__(self, *_: object) -> _LineLogger:
        return self._logger


class _LibraryHandler(logging.Handler):
    """Passes on what libraries say through :mod:`logging`, whose own handlers may block."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit the format
            message = str(record.msg)
        exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | None = None
        if record.exc_info and record.exc_info[0] is not None:
            exc_info = record.exc_info
        level = next(
            (n for n in (logging.CRITICAL, logging.ERROR, logging.WARNING) if record.levelno >= n),
            logging.INFO,
        )
        get_logger().log(level, "library.log", logger=record.name, message=message, exc_info=exc_info)


def _take_library_messages() -> None:
    global _library_handler
    _library_handler = _LibraryHandler(logging.WARNING)
    logging.getLogger().addHandler(_library_handler)
    logging.captureWarnings(True)


def _stamp(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the facts of every event first; no field of the same name can replace them."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = event.pop("event", "")
    facts: EventDict = {
        "timestamp": now,
        "level": "error" if method == "exception" else method,
        "event": name,
    }
    return {
        **facts,
        **{(f"{key}_" if key in facts else key): value for key, value in event.items()},
    }


class _Json:
    """One JSON object per line, ASCII only: every control character is an escape."""

    def __init__(self, mask: Masker) -> None:
        self._mask = mask

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        return self._mask(json.dumps(_safe_fields(event)).replace("\x7f", "\\u007f"))


class _Pretty:
    """``21:03:05.123 info  job.retried  job_id=j1 delay_s=2.5`` for people; a traceback follows, indented."""

    def __init__(self, mask: Masker, *, colours: bool) -> None:
        self._mask = mask
        self._colours = colours

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        fields = _safe_fields(event)
        level, exception = str(fields["level"]), fields.get("exception")
        clock = dt.datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        values = [
            f"{self._paint('2', escape(key) + '=')}{_shown(fields[key])}"
            for key in fields
            if key not in _RESERVED
        ]
        level_text = self._paint(_COLOURS.get(level, "0"), f"{level:<8}")
        line = " ".join(
            [self._paint("2", clock), level_text, self._paint("1", escape(str(fields["event"]))), *values]
        )
        if isinstance(exception, str):
            line = "\n".join([line, *(f"    {escape(text)}" for text in exception.splitlines())])
        return self._mask(line)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def _shown(value: object) -> str:
    """Return a value for people: in quotes unless plain, so that no value can pass for another field."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and (not text or any(mark in text for mark in " \"'=\t")):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return escape(text).replace("\t", "\\t")


def _safe_fields(event: EventDict) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in event.items():
        if key == "exception" and isinstance(value, str):
            # The end says what happened.
            fields[key] = (
                value if len(value) <= _MAX_TRACEBACK_CHARS else "… " + value[-_MAX_TRACEBACK_CHARS:]
            )
        else:
            fields[str(key)] = _plain(value, _MAX_DEPTH)
    return fields


def _plain(value: object, depth: int) -> Any:
    """Return what JSON can hold, bounded in every direction: a line must not fail, nor be huge."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no NaN and no infinity
    if isinstance(value, str):
        return cut(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return cut(bytes(value[:MAX_VALUE_CHARS]).decode("utf-8", "backslashreplace"))
    if depth > 0 and isinstance(value, Mapping):
        pairs = list(value.items())[:_MAX_ITEMS]
        return {cut(str(key), 256): _plain(each, depth - 1) for key, each in pairs}
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth - 1) for each in list(value)[:_MAX_ITEMS]]
    try:
        return cut(str(value))
    except Exception as error:  # noqa: BLE001 - whatever a foreign __str__ raises, the event is worth more
        return f"<{type(value).__name__}: {type(error).__name__} in str()>"


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd) and os.environ.get("TERM") != "dumb"
    except OSError:
        return False
