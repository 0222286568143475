"""What may stand after the ``?`` of a DSN. Pure.

A client library takes any of its own options there: with them TLS could be switched off unseen, and a slip of
the pen would end in the middle of its code. So only a few names are let through to it.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

__all__ = ["QUERY_OPTIONS", "SENTINEL_OPTIONS", "dsn_query_problems", "query_problems"]

QUERY_OPTIONS: Final = ("client_name", "db", "password", "username")
SENTINEL_OPTIONS: Final = ("sentinel_password", "sentinel_username")

_VERIFIED: Final = "certificates are always verified"
_PRIVATE_CA: Final = "for an authority of your own set redis_tls_ca_file"
# What a name of the client library is to be replaced by.
_INSTEAD: Final = {
    "ssl_ca_certs": "set redis_tls_ca_file",
    "ssl_ca_data": "set redis_tls_ca_file",
    "ssl_ca_path": "set redis_tls_ca_file",
    "ssl_certfile": "set redis_tls_cert_file",
    "ssl_check_hostname": "set redis_tls_check_hostname",
    "ssl_keyfile": "set redis_tls_key_file",
}
# Anything else may be the rest of a password whose question mark was not escaped: it is not repeated.
_name = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}").fullmatch
_client_name = re.compile(r"[!-~]{1,128}").fullmatch
_database = re.compile(r"[0-9]{1,9}").fullmatch


def dsn_query_problems(dsn: str) -> Iterator[str]:
    """Yield what is wrong with the query of a ``redis://``, ``rediss://`` or ``unix://`` DSN.

    Others have rules of their own; nothing is said of them.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return
    if parts.scheme not in ("redis", "rediss", "unix"):
        return
    yield from query_problems(parts.query, QUERY_OPTIONS)
    number = parts.path.strip("/")
    asked = dict(_pairs(parts.query)).get("db", number)
    if parts.scheme != "unix" and number and asked != number:
        yield "names one database after the last slash and another by db; keep one"


def query_problems(query: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with a query of which the options ``allowed`` are known; no value is repeated."""
    names = ", ".join(allowed)
    seen: set[str] = set()
    pairs = _pairs(query)
    if query and not pairs:
        yield _unreadable(names)
    for name, value in pairs:
        if _name(name) is None or value is None:
            yield _unreadable(names)
        elif name not in allowed:
            yield f"cannot take the option {name}: {_instead(name, names)}"
        elif name in seen:
            yield f"has the option {name} twice; keep one"
        elif name == "db" and _database(value) is None:
            yield "expected a database number as the option db"
        elif name == "client_name" and _client_name(value) is None:
            yield "expected 1 to 128 printable ASCII characters without spaces as the option client_name"
        seen.add(name)


def _pairs(query: str) -> list[tuple[str, str | None]]:
    pairs: list[tuple[str, str | None]] = []
    for part in query.split("&"):
        if not part:
            continue
        if "=" not in part:
            pairs.append((part, None))
        else:
            pairs += parse_qsl(part, keep_blank_values=True)
    return pairs


def _instead(name: str, names: str) -> str:
    if name in _INSTEAD:
        return _INSTEAD[name]
    if name.startswith("ssl"):
        return f"{_VERIFIED}; {_PRIVATE_CA}"
    return f"after ? only {names} may stand; remove it"


def _unreadable(names: str) -> str:
    return (
        f"cannot be read after its ?: expected name=value, with one of {names} "
        "(a question mark of a password is written %3F)"
    )
