"""Passwords in texts that quote what a user wrote. Pure; apart from the settings, for errors use it."""

import re
from typing import Final

__all__ = ["hide_passwords"]

_MASK: Final = "***"
# `scheme://user:password@` and `scheme://token@`; with one slash too, as a path folds two into one.
_credentials = re.compile(r"(:/{1,2}(?:[^\s/@:'\"]*:)?)[^\s'\"@]+(?=@)")


def hide_passwords(text: str) -> str:
    """Return ``text`` with the passwords in its URLs masked (RELIABILITY.md S8)."""
    return _credentials.sub(rf"\1{_MASK}", text)
