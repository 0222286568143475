"""What is told about an exception a handler raised: bounded, printable, and never raising itself (F76)."""

import traceback
from typing import Final

from rrq_protocol import ExecutionError

MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_TRACEBACK_CHARS: Final = 16 * 1024
_MAX_FRAMES: Final = 25
_MAX_CHAIN: Final = 5
_MAX_CHAINED_MESSAGE_CHARS: Final = 1024


def describe(error: BaseException) -> ExecutionError:
    """Return the error of an outcome for an exception that left a handler.

    The message is the exception's own text, its class name where there is none; ``type`` is the class,
    ``details`` holds the traceback, innermost frames last.
    """
    kind = type_name(error)
    return ExecutionError(
        message=bounded_message(_text(error) or kind), type=kind, details={"traceback": _traceback(error)}
    )


def type_name(error: BaseException) -> str:
    """Return ``ValueError`` for a built-in exception, ``package.module.Name`` for any other."""
    kind = type(error)
    module, name = _printable(str(kind.__module__)), _printable(str(kind.__qualname__))
    return name if module == "builtins" else f"{module}.{name}"


def bounded_message(text: str) -> str:
    """Return ``text`` as valid UTF-8 of at most 64 KiB; what is cut is said to be cut."""
    if len(text) <= MAX_MESSAGE_BYTES // 4 and text.isascii():
        return text
    data = text[: MAX_MESSAGE_BYTES + 1].encode("utf-8", "backslashreplace")
    if len(data) <= MAX_MESSAGE_BYTES:
        return data.decode()
    marker = f"… [cut; the message has {len(text)} characters]"
    return data[: MAX_MESSAGE_BYTES - len(marker.encode())].decode("utf-8", "ignore") + marker


def location(error: BaseException, inside: str = "") -> str:
    """Return ``file:line`` of the innermost frame whose path holds ``inside``, or of the innermost.

    Empty if none.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [(each.f_code.co_filename, line) for each, line in traceback.walk_tb(error.__traceback__)]
    chosen = [each for each in frames if inside and inside in each[0]] or frames
    return f"{chosen[-1][0]}:{chosen[-1][1]}" if chosen else ""


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # noqa: BLE001 - a __str__ may raise anything, SystemExit included
        return f"<the text of this {type_name(error)} cannot be had: its __str__ raised {type_name(second)}>"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(chain) < _MAX_CHAIN:
        seen.add(id(current))
        chain.append(_one(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    text = _printable("\nled to:\n".join(reversed(chain)))
    if len(text) <= MAX_TRACEBACK_CHARS:
        return text
    return f"[cut]…{text[-MAX_TRACEBACK_CHARS:]}"


def _one(error: BaseException) -> str:
    try:
        frames = "".join(traceback.format_list(_frames(error)))
    except Exception:  # noqa: BLE001 - source files may have changed or be unreadable
        frames = "  [frames not available]\n"
    text = _text(error)[: _MAX_CHAINED_MESSAGE_CHARS + 1]
    if len(text) > _MAX_CHAINED_MESSAGE_CHARS:
        text = f"{text[:_MAX_CHAINED_MESSAGE_CHARS]}…"
    return f"{frames}{type_name(error)}: {text}"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the innermost frames, without those of this package that every handler is called through."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    while frames and frames[0].filename.startswith(_PACKAGE) and frames[0].name in _PLUMBING:
        del frames[0]
    return list(frames)


_PACKAGE: Final = __file__.removesuffix("failures.py")
_PLUMBING: Final = frozenset({"_run_async", "_run_in_thread", "_call", "call"})
