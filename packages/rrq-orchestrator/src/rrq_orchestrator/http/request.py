"""The head of an HTTP/1.1 request, read strictly (RFC 9112). Pure."""

from typing import Final

import msgspec

__all__ = ["BadRequest", "Request", "parse_head"]

_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class BadRequest(Exception):
    """The request cannot be served; ``status`` says how to answer. The connection is of no further use."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Request(msgspec.Struct, frozen=True):
    """What is asked for.

    Attributes:
        method: As sent, e.g. ``GET``.
        path: Without the query.
        keep: Whether the client will ask again on this connection.
        accept: The ``Accept`` header.
    """

    method: str
    path: str
    keep: bool = True
    accept: str = ""


def parse_head(head: bytes) -> Request:
    """Return the request of a head that ends with an empty line.

    Raises:
        BadRequest: It is no HTTP/1 request, or comes with a body.
    """
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not set(parts[0]) <= _TOKEN or not parts[0]:
        raise BadRequest(400, "expected a request line, METHOD PATH HTTP/1.1")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505, "expected HTTP/1.1")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not set(name) <= _TOKEN:
            raise BadRequest(400, "expected headers of the form NAME: VALUE")
        headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    if version == "HTTP/1.1" and len(headers.get("host", ())) != 1:
        raise BadRequest(400, "expected one Host header")
    if headers.get("content-length", ["0"]) != ["0"] or "transfer-encoding" in headers:
        raise BadRequest(413, "expected a request without a body")
    options = {each.strip().lower() for value in headers.get("connection", ()) for each in value.split(",")}
    keep = "close" not in options if version == "HTTP/1.1" else "keep-alive" in options
    return Request(method, target.partition("?")[0], keep, ", ".join(headers.get("accept", ())))
