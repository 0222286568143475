"""Text fit for logs: terminal tricks shown as escapes, credentials masked (RELIABILITY.md S6 to S8)."""

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote, urlsplit

__all__ = ["MAX_VALUE_CHARS", "Masker", "credentials_of", "cut", "escape"]

MAX_VALUE_CHARS: Final = 64 * 1024
"""Longest value of a field; the rest is left out and counted."""

_MASK: Final = "***"
# Shorter ones occur in ordinary words; inside URLs they are masked whatever their length.
_MIN_SECRET_CHARS: Final = 6
# C0 but for tab, DEL and C1; line and paragraph separators; zero-width and invisible characters;
# bidirectional controls; surrogates, which cannot be encoded.
_unsafe: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_url_password: Final = re.compile(r"(?<=://)([^\s/@:'\"]*):[^\s/'\"]*@")


def escape(text: str) -> str:
    r"""Return ``text`` with every character that could steer a terminal, or hide or forge a line, as ``\x1b``
    or ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return _unsafe.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def cut(text: str, limit: int = MAX_VALUE_CHARS) -> str:
    """Return at most ``limit`` characters of ``text``, and how many were left out."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def credentials_of(url: str) -> tuple[str, ...]:
    """Return the password in ``url`` as it is written and as it is meant; empty where there is none."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return ()
    if not password:
        return ()
    return tuple({password, unquote(password)})


class Masker:
    """Takes known secrets, and passwords inside URLs, out of finished log lines.

    Args:
        secrets: Texts never to be shown. Those shorter than 6 characters are masked inside URLs only.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = set()
        for secret in secrets:
            if len(secret) >= _MIN_SECRET_CHARS:
                plain = {secret, quote(secret, safe=""), escape(secret), ascii(secret)[1:-1]}
                forms |= plain | {json.dumps(form)[1:-1] for form in plain}
        # Longest first, so that no form is cut in half by a shorter one inside it.
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._secret = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, line: str) -> str:
        """Return ``line`` without secrets."""
        if self._secret is not None:
            line = self._secret.sub(_MASK, line)
        return _url_password.sub(rf"\1:{_MASK}@", line) if "://" in line else line
