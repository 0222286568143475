"""What must not reach a terminal, and what an error may look like."""

import unicodedata

__all__ = ["check_one_line", "controls"]


def controls(text: str) -> set[str]:
    """Return the characters that drive a terminal, reorder what is read, or cannot be encoded."""
    if text.isprintable():
        return set()
    return {char for char in text if not char.isprintable() and unicodedata.category(char) != "Zs"}


def check_one_line(error: Exception | str, most: int | None = None) -> None:
    """Raise if a message is not one printable line, of ``most`` characters at the most.

    Raises:
        AssertionError: It is not.
    """
    text = str(error)
    if not text or not text.isprintable() or (most is not None and len(text) > most):
        raise AssertionError(f"expected one printable line, got {text!a}")
