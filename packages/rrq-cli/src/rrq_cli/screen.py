"""A view that is painted again and again on the whole terminal, which is given back as it was."""

import io
import os
import re
import select
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rrq_cli.exits import UsageProblem
from rrq_cli.output import console

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Screen", "keep_showing"]

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[?25h\x1b[?1049l"
_SHORTEST_S = 0.1
_NAMED_KEYS = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left", "\x1b": "escape"}
_NAMED_KEYS |= {"\x1bOA": "up", "\x1bOB": "down", "\t": "tab", "\n": "enter", "\r": "enter"}
_NAMED_KEYS |= {"\x1b[5~": "page_up", "\x1b[6~": "page_down", "\x1b[H": "home", "\x1b[F": "end"}
_NAMED_KEYS |= {"\x1b[1~": "home", "\x1b[4~": "end", "\x1bOH": "home", "\x1bOF": "end"}
# What a key sends that is no letter: a control sequence (CSI), a shifted one (SS3), or a letter with Alt.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\x1b\[O])", re.DOTALL)


class Screen:
    """The alternate screen of the terminal, for as long as the block runs.

    Args:
        keys: Whether single keys are read; they are not echoed then.

    Raises:
        UsageProblem: Standard output, or with ``keys`` standard input, is no terminal.
    """

    def __init__(self, what: str, *, keys: bool = False) -> None:
        if not sys.stdout.isatty() or (keys and not sys.stdin.isatty()):
            raise UsageProblem(f"{what} needs a terminal")
        self._keys, self._typed = keys, ""
        self._before: Any = None
        self._colours = console().color_system

    def __enter__(self) -> "Screen":
        if self._keys:
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_LEAVE)
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def paint(self, draw: "Callable[[Console], None]") -> None:
        """Show what ``draw`` prints, as much of it as there is room for."""
        from rich.console import Console

        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        buffer = io.StringIO()
        out = Console(
            file=buffer,
            width=max(columns, 20),
            height=lines,
            force_terminal=True,
            # Another console's own answer, which its type calls any text.
            color_system=self._colours,  # type: ignore[arg-type]
            markup=False,
            emoji=False,
            highlight=False,
        )
        draw(out)
        shown = buffer.getvalue().rstrip("\n").split("\n")[:lines]
        # Each line clears what is left of the old one, so nothing flickers.
        self._write("\x1b[H" + "\x1b[K\n".join(shown) + "\x1b[K\x1b[J")

    def key(self, timeout_s: float) -> str | None:
        """Return the next key, by name where it has one; None if none came in time."""
        if not self._typed:
            ready, _, _ = select.select([sys.stdin], [], [], max(0.0, timeout_s))
            if not ready:
                return None
            self._typed = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
            if not self._typed:
                return "eof"
        # Keys typed fast come together. A sequence nobody knows is one key too, not Esc and some letters.
        sequence = _SEQUENCE.match(self._typed)
        typed = self._typed[0] if sequence is None else sequence[0]
        self._typed = self._typed[len(typed) :]
        return _NAMED_KEYS.get(typed, typed if sequence is None else "unknown")

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def keep_showing(what: str, interval_s: float, look: "Callable[[], Callable[[Console], None]]") -> None:
    """Look and paint, again and again, until Ctrl-C.

    Args:
        what: The command, for the message that it needs a terminal.
        interval_s: Seconds between looks.
        look: Returns what draws what was found.
    """
    with Screen(what) as screen:
        try:
            while True:
                begun = time.monotonic()
                screen.paint(look())
                time.sleep(max(_SHORTEST_S, interval_s - (time.monotonic() - begun)))
        except KeyboardInterrupt:
            return
