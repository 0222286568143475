"""A text that never shows itself by accident (RELIABILITY.md S8)."""

import re
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["MASK", "Secret", "mask_url", "read_dsn_file"]

MASK = "***"
_database = re.compile(r"db=[0-9]{1,9}")
_MAX_DSN_BYTES = 64 * 1024


def read_dsn_file(path: str) -> str:
    """Return the DSN in ``redis_dsn_file``: a mounted secret, say. White space around it is taken off.

    Raises:
        ConnectionError: It cannot be read, or nothing stands in it.
    """
    try:
        with Path(path).open("rb") as file:
            # Editors of some systems begin a file with a mark.
            text = file.read(_MAX_DSN_BYTES).decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise ConnectionError(f"redis_dsn_file: {path} cannot be read: {reason}") from None
    if not text:
        raise ConnectionError(f"redis_dsn_file: {path} is empty")
    if len(text.splitlines()) > 1:
        raise ConnectionError(f"redis_dsn_file: {path} holds several lines; expected the DSN alone")
    return text


def mask_url(url: str) -> str:
    """Return ``url`` without its password and without its query but for the number of the database, fit for
    logs.

    User name, host, port and path stay, because they are what one needs to find a wrong server. A text that
    is not a URL of the usual form is masked whole, and so is everything behind the scheme where an ``@`` lies
    behind the host: it may end a password whose slash or question mark was not escaped.
    """
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
    except ValueError:
        return MASK
    if not parts.scheme or "://" not in url:
        return MASK
    scheme, _, rest = url.partition("://")
    if rest.count("@") > netloc.count("@"):
        return f"{scheme}://{MASK}"
    if "@" in netloc:
        credentials, _, host = netloc.rpartition("@")
        user = credentials.partition(":")[0] if ":" in credentials else ""
        netloc = f"{user}:{MASK}@{host}"
    # Not urlunsplit, which drops the slashes of schemes it does not know.
    query = "&".join(_shown_option(option) for option in parts.query.split("&"))
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if parts.query else "")


def _shown_option(option: str) -> str:
    """Return an option of a query, masked with its name unless it is the number of the database."""
    return option if _database.fullmatch(option) else MASK


class Secret:
    """Hold a text whose ``str``, ``repr`` and format are masked.

    Comparison and hashing work on the text itself; only :meth:`reveal` gives it out.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Hand it to the one call that needs it, and nowhere else."""
        return self._text

    def masked(self) -> str:
        """Return what may be shown: the URL without its password, or only asterisks for any other text."""
        return mask_url(self._text)

    def __str__(self) -> str:
        return self.masked()

    def __repr__(self) -> str:
        return f"Secret({self.masked()!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret):
            return self._text == other._text
        return NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))
