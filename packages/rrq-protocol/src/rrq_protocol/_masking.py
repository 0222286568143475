"""Passwords in texts that quote what a user wrote. Pure; apart from the settings, for errors use it."""

import re
from typing import Final

__all__ = ["hide_passwords"]

_MASK: Final = "***"
# `scheme://user:password@` and `scheme://token@`; with one slash too, as a path folds two into one. To the
# last `@`, for it may be part of a password that was not escaped.
_credentials = re.compile(r"(:/{1,2}(?:[^\s/@:'\"]*:)?)[^\s'\"]+(?=@)")
_in_query = re.compile(r"([?&][^\s=&'\"]*(?:pass|token|secret|key)[^\s=&'\"]*=)[^\s&'\"]+", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """Return ``text`` with the passwords in its URLs masked (RELIABILITY.md S8)."""
    return _in_query.sub(rf"\1{_MASK}", _credentials.sub(rf"\1{_MASK}", text))
