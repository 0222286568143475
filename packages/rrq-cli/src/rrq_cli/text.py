"""Text from data, made fit for a terminal (RELIABILITY.md S6).

Whatever comes out of Redis, a file or another process goes through :func:`escape` before a person sees it. A
function name with an escape sequence then shows as ``\\x1b[2J`` and clears no screen; bidirectional overrides
cannot reorder what is read, and what has no width cannot hide.
"""

import unicodedata

__all__ = ["cut", "cut_head", "escape", "escape_lines", "width"]

# Printable by the tables of Unicode, yet without a shape of their own: joiners, fillers, variation selectors.
_INVISIBLE = (
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | set(range(0x180B, 0x1810))
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0100, 0xE01F0))
)
_ZERO_WIDTH = {"Mn", "Me"}
_MARKS_IN_A_ROW = 4
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_safe(char: str) -> bool:
    return ord(char) not in _INVISIBLE and (char.isprintable() or unicodedata.category(char) == "Zs")


def escape(text: str) -> str:
    """Return ``text`` with everything that controls a terminal, reorders or hides written out; one line.

    C0, C1, DEL, line ends, bidirectional controls, zero-width and other format characters, lone surrogates,
    private and unassigned code points become ``\\n``, ``\\x1b``, ``\\u202e`` and so on. Printable ASCII stays
    as it is, and so do letters of any script with up to four combining marks each.
    """
    if text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in _ZERO_WIDTH else 0
        parts.append(char if marks <= _MARKS_IN_A_ROW and _is_safe(char) else _escaped(char))
    return "".join(parts)


def escape_lines(text: str) -> list[str]:
    """Return the lines of ``text``, each escaped; tabs are four spaces. For tracebacks and the like."""
    return [escape(line) for line in text.replace("\r\n", "\n").replace("\t", "    ").split("\n")]


def width(text: str) -> int:
    """Return the terminal cells that escaped text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """Return escaped text shortened to at most ``cells`` terminal cells; ``…`` is where something is missing.

    Characters are never split, and a combining mark stays with its letter.
    """
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    room, kept = cells - 1, []
    for char in text:
        room -= _cells(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…"


def cut_head(text: str, cells: int) -> str:
    """Return escaped text shortened like :func:`cut`, but at its beginning."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    room, at = cells - 1, len(text)
    while at > 0 and (room := room - _cells(text[at - 1])) >= 0:
        at -= 1
    while at < len(text) and _cells(text[at]) == 0:  # marks of a letter that is gone
        at += 1
    return "…" + text[at:]
