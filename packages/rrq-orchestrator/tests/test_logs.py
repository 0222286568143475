"""Structured logs: format, levels, untrusted text, secrets, messages of libraries."""

import json
import logging
import os
import pty
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator import logs
from rrq_protocol import Secret, Settings

CANARY = "canary-0451"


class Log:
    """A configured logger on a pipe."""

    def __init__(self, **options: Any) -> None:
        self._reading, writing = os.pipe()
        self._writing = writing
        self.logger: FilteringBoundLogger = logs.configure(Settings(**options), fd=writing)

    def flush(self) -> bool:
        """Wait until all was written."""
        assert logs._writer is not None
        return logs._writer.flush(10)

    def close(self) -> None:
        """End logging, and the stream."""
        logs.close()
        os.close(self._writing)

    def rest(self) -> str:
        """Return what is read until the stream ends."""
        with os.fdopen(self._reading, encoding="utf-8", newline="\n") as file:
            return file.read()

    def text(self) -> str:
        """Return everything logged, and end."""
        self.close()
        return self.rest()

    def events(self) -> list[dict[str, Any]]:
        """Return the JSON events logged, and end."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    logs.close()
    structlog.configure(**before)


def test_json_where_nobody_watches() -> None:
    """One object per line: time, level, event, then the fields."""
    log = Log()
    log.logger.info("job.retried", job_id="j1", delay_s=2.5, queues=["a"], nothing=None)
    (event,) = log.events()
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert event["timestamp"].endswith("Z")
    del event["timestamp"]
    wanted = {
        "level": "info",
        "event": "job.retried",
        "job_id": "j1",
        "delay_s": 2.5,
        "queues": ["a"],
        "nothing": None,
    }
    assert event == wanted


def test_a_terminal_gets_the_readable_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """With colours, unless NO_COLOR asks for none."""
    for variable, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", variable)
        monkeypatch.setenv("TERM", "xterm")
        reading, terminal = pty.openpty()
        logs.configure(Settings(), fd=terminal).warning("job.retried", job_id="j1")
        logs.close()
        line = os.read(reading, 4096).decode()
        os.close(terminal)
        os.close(reading)
        assert "job.retried" in line
        assert ("\x1b[" in line) is coloured


def test_below_the_level_nothing_happens() -> None:
    """Only events of the level and above are written."""
    log = Log(log_level="warning")
    log.logger.debug("a")
    log.logger.info("b")
    log.logger.warning("c")
    assert not log.logger.is_enabled_for(logging.INFO)
    assert [event["event"] for event in log.events()] == ["c"]


@pytest.mark.parametrize("name", ["timestamp", "level"])
def test_fields_cannot_pose_as_facts(name: str) -> None:
    """A field of the name of a fact keeps its value under another name."""
    log = Log()
    log.logger.info("real", **{name: "forged"})
    (event,) = log.events()
    assert event[f"{name}_"] == "forged"
    assert event[name] != "forged"


@given(st.text(), st.recursive(st.none() | st.text() | st.floats() | st.binary(), st.lists, max_leaves=5))
@settings(max_examples=50)
def test_untrusted_values_stay_values(text: str, value: object) -> None:
    """No text makes a second line, a second event, or a line that is no JSON; none steers a terminal."""
    log = Log(log_format="json")
    log.logger.info("real", text=text, value=value)
    (event,) = log.events()
    assert event["event"] == "real"
    log = Log(log_format="pretty")
    log.logger.info("real", text=text, value=value)
    line = log.text()
    assert line.count("\n") == 1
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in line[:-1])


def test_a_value_cannot_pass_for_another_field() -> None:
    """In the readable form, whatever is not plain is in quotes."""
    log = Log(log_format="pretty")
    log.logger.info("real", error='x" level=error job_id=j9', plain="j1", empty="")
    line = log.text()
    assert r'error="x\" level=error job_id=j9"' in line
    assert "plain=j1" in line
    assert 'empty=""' in line


def test_anything_can_be_a_value() -> None:
    """Endless, deep, huge and hostile objects give a bounded line, never an error."""

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

    endless: list[Any] = []
    endless.append(endless)
    log = Log()
    log.logger.info(
        "real", a=endless, b=Hostile(), c="x" * 1_000_000, d={1: {2, 3}}, e=b"\xff", f=[0] * 10_000
    )
    (event,) = log.events()
    assert event["b"] == "<Hostile: RuntimeError in str()>"
    assert len(event["c"]) < 70_000
    assert event["d"] == {"1": [2, 3]}
    assert event["e"] == "\\xff"
    assert len(event["f"]) == 100


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_secrets_are_masked_everywhere(log_format: str) -> None:
    """The password of the settings appears in no field, no text and no traceback."""
    dsn = f"redis://me:{CANARY}@localhost:6379/0"
    log = Log(redis_dsn=Secret(dsn), log_format=log_format)
    log.logger.info(
        "a", dsn=Secret(dsn), text=dsn, nested={"x": [CANARY]}, settings=Settings(redis_dsn=Secret(dsn))
    )
    try:
        raise ValueError(f"cannot use {dsn} with {CANARY}")
    except ValueError:
        log.logger.exception("b")
    text = log.text()
    assert CANARY not in text
    assert "redis://me:***@localhost:6379/0" in text


def test_a_traceback_is_one_field() -> None:
    """In JSON it is one line; for people it follows the line, indented, without control characters."""
    for log_format in ("json", "pretty"):
        log = Log(log_format=log_format)
        try:
            raise ValueError("bad \x1b[31m text")
        except ValueError:
            log.logger.exception("failed", job_id="j1")
        text = log.text()
        if log_format == "json":
            assert json.loads(text)["exception"].endswith("ValueError: bad \x1b[31m text")
            assert json.loads(text)["level"] == "error"
        else:
            assert text.splitlines()[-1] == r"    ValueError: bad \x1b[31m text"


def test_libraries_are_heard_in_the_same_stream() -> None:
    """Warnings of logging and of Python become events; their text is only a value."""
    log = Log()
    logging.getLogger("asyncio").error("task %s\nfailed", "x")
    logging.getLogger("noisy").info("not this")
    odd = {"name": "odd", "levelno": logging.WARNING, "msg": "%d", "args": ("not a number",)}
    assert logs._library_handler is not None
    logs._library_handler.handle(logging.makeLogRecord(odd))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    events = log.events()
    assert [(event["event"], event["logger"], event["level"]) for event in events] == [
        ("library.log", "asyncio", "error"),
        ("library.log", "odd", "warning"),
        ("library.log", "py.warnings", "warning"),
    ]
    assert events[0]["message"] == "task x\nfailed"
    logging.getLogger("asyncio").error("afterwards: to whoever listens then")


def test_a_lost_reader_is_reported_when_it_is_back() -> None:
    """The count of dropped lines is an event of its own."""
    log = Log()
    for _ in range(6000):
        log.logger.info("filler", text="x" * 1000)
    thread = threading.Thread(target=lambda: texts.append(log.rest()))
    texts: list[str] = []
    thread.start()
    assert log.flush()
    log.close()
    thread.join()
    events = [json.loads(line) for line in texts[0].splitlines()]
    dropped = sum(event["lines"] for event in events if event["event"] == "log.dropped")
    assert dropped > 0
    assert dropped + sum(event["event"] == "filler" for event in events) == 6000


def test_the_logger_of_a_module_follows_the_configuration() -> None:
    """A logger that was made before `configure` writes where that says, with its own fields."""
    early = logs.get_logger(part="claim")
    log = Log()
    early.info("a")
    (event,) = log.events()
    assert event["part"] == "claim"
