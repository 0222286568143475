"""DSNs that name sentinels: ``redis+sentinel://host:port,host:port/service/db``. Pure.

The sentinels say where the primary is, now and after a failover. ``rediss+sentinel://`` speaks TLS, to the
sentinels too. User and password before the ``@`` are those of the servers; those of the sentinels are given
as ``?sentinel_username=…&sentinel_password=…``.
"""

from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec

from rrq_protocol.settings.dsn_query import SENTINEL_OPTIONS, query_problems
from rrq_protocol.settings.secret import Secret

__all__ = ["SENTINEL_SCHEMES", "SentinelAddress", "parse_sentinel"]

SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
_DEFAULT_PORT: Final = 26379
_EXPECTED: Final = "expected redis+sentinel://host:port,host:port/service/db"


class SentinelAddress(msgspec.Struct, frozen=True):
    """A primary that sentinels know.

    Attributes:
        nodes: Host and port of each sentinel.
        service: What they call the primary.
        db: Number of the database.
        tls: Whether servers and sentinels speak TLS.
        username, password: For the servers; None where none is given.
        sentinel_username, sentinel_password: For the sentinels.
    """

    nodes: tuple[tuple[str, int], ...]
    service: str
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: Secret | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None


def parse_sentinel(dsn: str) -> SentinelAddress:
    """Return what a DSN with one of :data:`SENTINEL_SCHEMES` means.

    Raises:
        ValueError: It is not of that form; the text repeats nothing of it but the name of an option.
    """
    scheme, _, rest = dsn.partition("://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, database = path.strip("/").partition("/")
    if not service or not hosts:
        raise ValueError(f"{_EXPECTED}: {'no host' if not hosts else 'no name of a service'} in it")
    if database and not (database.isascii() and database.isdecimal()):
        raise ValueError(f"{_EXPECTED}, with a database number after the service")
    for problem in query_problems(query, SENTINEL_OPTIONS):
        raise ValueError(f"{problem}; {_EXPECTED}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    return SentinelAddress(
        nodes=tuple(_node(text) for text in hosts.split(",")),
        service=unquote(service),
        db=int(database or 0),
        tls=scheme == "rediss+sentinel",
        username=unquote(user) or None,
        password=_secret(unquote(password)),
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=_secret(options.get("sentinel_password", "")),
    )


def _node(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{_EXPECTED}, with ports from 1 to 65535")
    return host, int(port)


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None
