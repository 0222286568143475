"""The head of a request, read strictly."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.http.request import BadRequest, Request, parse_head

END = b"\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a", Request("GET", "/metrics")),
        (b"HEAD /readyz?x=1 HTTP/1.1\r\nhOST:a\r\nContent-Length: 0", Request("HEAD", "/readyz")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close", Request("GET", "/", keep=False)),
        (b"GET / HTTP/1.0", Request("GET", "/", keep=False)),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", Request("GET", "/")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nAccept: a/b\r\nAccept: c/d", Request("GET", "/", accept="a/b, c/d")),
    ],
)
def test_requests_are_read(head: bytes, expected: Request) -> None:
    """Names of headers in any case; whether a connection goes on depends on the version."""
    assert parse_head(head + END) == expected


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"G(T / HTTP/1.1\r\nHost: a", 400),
        (b"GET / HTTP/2.0", 505),
        (b"\x16\x03\x01 \x00 \xff", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded", 400),
        (b"GET / HTTP/1.1\r\nHost : a", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 3", 413),
    ],
)
def test_what_is_no_request_is_refused(head: bytes, status: int) -> None:
    """Where two readings are possible, there is none: the next request would begin in the wrong place."""
    with pytest.raises(BadRequest) as caught:
        parse_head(head + END)
    assert caught.value.status == status


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_a_refusal(head: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_head(head + END), Request)
