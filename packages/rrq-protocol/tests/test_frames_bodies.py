"""Bodies of frames: what is no strict JSON message is refused, both ways, with its place (F65-F68)."""

from typing import Any

import msgspec
import pytest

from rrq_protocol.errors import InvalidMessage, NotSerialisable
from rrq_protocol.frames import (
    LineDecoder,
    decode_body,
    encode_body,
    encode_frame,
    encode_line,
)
from rrq_protocol.messages import (
    CancelMessage,
    CancelRequest,
    ExecutionOutcome,
    Message,
    RequestMessage,
    ResponseMessage,
    WireContext,
    WireRequest,
    WireRequestMessage,
)
from support.wire import request, success


@pytest.mark.parametrize(
    ("body", "problem", "message_type", "request_id"),
    [
        (b"", "truncated", None, None),
        (b"hello", "invalid character", None, None),
        (b"\xff\xfe", "invalid", None, None),
        (b"[]", "Expected `object`", None, None),
        (b"null", "Expected `object`", None, None),
        (b"{}", "`type`", None, None),
        (b'{"type":"request"}', "`payload`", "request", None),
        (b'{"type":"wave","payload":{"request_id":"r1"}}', "Invalid value 'wave'", "wave", "r1"),
        (b'{"type":7,"payload":{"request_id":"r1"}}', "Expected `str`", None, "r1"),
        (b'{"type":"response","payload":[]}', "Expected `object`", "response", None),
        (b'{"type":"response","payload":{"request_id":"r1"}}', "`status`", "response", "r1"),
        (
            b'{"type":"response","payload":{"request_id":7,"status":"success"}}',
            "Expected `str",
            "response",
            None,
        ),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"success","result":NaN}}',
            "invalid",
            "response",
            "r1",
        ),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"success","result":1e999}}',
            "out of range",
            "response",
            "r1",
        ),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"success","result":"\xff"}}',
            "UTF-8",
            "response",
            "r1",
        ),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"success","result":"\\ud800..."}}',
            "surrogate",
            "response",
            "r1",
        ),
        (
            b'{"type":"response","payload":{"request_id":"\\ud800","status":"success"}}',
            "surrogate",
            "response",
            None,
        ),
        (b'{"type":"cancel","payload":{"job_id":"j1"}} x', "trailing", "cancel", None),
    ],
    ids=ascii,
)
def test_bad_bodies_are_refused_with_what_is_still_known(
    body: bytes, problem: str, message_type: str | None, request_id: str | None
) -> None:
    """A body that is no message is refused with the reason, and with the ids that can be read (F68)."""
    with pytest.raises(InvalidMessage) as caught:
        decode_body(body)
    assert problem in caught.value.problem
    assert (caught.value.message_type, caught.value.request_id) == (message_type, request_id)


@pytest.mark.parametrize("depth", [129, 10**3, 10**4, 10**5, 10**6])
def test_deep_parameters_are_refused(depth: int) -> None:
    """Parameters of any depth over the limit are an InvalidMessage, never a RecursionError (F67)."""
    nested = b"[" * (depth - 1) + b"]" * (depth - 1)
    body = encode_body(request({"a": "?"})).replace(b'"?"', nested)
    with pytest.raises(InvalidMessage, match="nested deeper than 128") as caught:
        decode_body(body)
    # How deep a reader gets before it gives up on the ids too is the interpreter's affair.
    assert caught.value.request_id in (("r1",) if depth == 129 else ("r1", None))


def test_parameters_as_deep_as_the_limit_pass() -> None:
    """The limit counts parameters and results alone, not the envelope around them."""
    value: Any = []
    for _ in range(126):
        value = [value]
    assert decode_body(encode_body(request({"a": value}))) == request({"a": value})
    assert decode_body(encode_body(success([value]))) == success([value])
    with pytest.raises(NotSerialisable, match="nested deeper"):
        encode_body(success([[value]]))
    with pytest.raises(NotSerialisable, match="nested deeper"):
        encode_body(request({"a": [value]}))


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (request({"a": [1, float("nan")]}), "params.a[1]"),
        (success(float("inf")), "result"),
        (success({"x": float("-inf"), "y": None}), "result.x"),
        (
            ResponseMessage(ExecutionOutcome.failure("j", "r", "m", details=[float("nan")])),
            "error.details[0]",
        ),
        (request({"a": object()}), "params"),
        (success("\ud800"), "result"),
        (ResponseMessage(ExecutionOutcome.failure("j", "r", "\ud800")), "error"),
        (CancelMessage(CancelRequest(job_id="\ud800")), "payload"),
    ],
    ids=["nan", "inf", "-inf", "details", "object", "surrogate", "error", "cancel"],
)
def test_content_without_a_json_form_is_refused(message: Message, path: str) -> None:
    """Nothing is sent that is not strict JSON; the error names the place (F66)."""
    for encode in (encode_body, encode_frame, encode_line):
        with pytest.raises(NotSerialisable) as caught:
            encode(message)
        assert caught.value.path == path


def test_stored_newlines_do_not_break_lines() -> None:
    """Stored parameters with line breaks between their tokens still travel as one line."""
    stored = msgspec.Raw(b'{\r\n  "a": "x\\ny"\n}')
    message = WireRequestMessage(
        WireRequest(
            request_id="r",
            job_id="j",
            function_name="f",
            params=stored,
            context=WireContext(job_id="j", attempt=1, enqueue_time="2024-05-01T12:00:00Z", queue_name="q"),
        )
    )
    (line,) = LineDecoder().feed(encode_line(message))
    read = decode_body(line)
    assert isinstance(read, RequestMessage)
    assert read.payload.params == {"a": "x\ny"}
    assert bytes(stored) in encode_frame(message)


def test_duplicate_keys_and_nul_are_documented() -> None:
    """Of a repeated key the last one counts; an escaped NUL in a text is preserved (F65)."""
    body = encode_body(request({"a": "?"})).replace(b'{"a":"?"}', b'{"a":1,"a":"x\\u0000y"}')
    read = decode_body(body)
    assert isinstance(read, RequestMessage)
    assert read.payload.params == {"a": "x\0y"}
