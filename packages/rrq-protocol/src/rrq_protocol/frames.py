"""Frames: how messages are cut out of, and put into, a byte stream. No I/O.

Sockets use a length prefix, ``uint32`` big-endian, before each body. Stdio uses one line per body. A body is
one message in UTF-8 JSON. The limit of :data:`MAX_FRAME_BYTES` counts the body alone.
"""

import json
import re
import struct
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from rrq_protocol.errors import FrameTooLarge, InvalidMessage, NotSerialisable, ProtocolError
from rrq_protocol.messages import (
    CancelMessage,
    HelloMessage,
    Message,
    PingMessage,
    PongMessage,
    RequestMessage,
    ResponseMessage,
    WireRequestMessage,
    WireResponseMessage,
)
from rrq_protocol.strict_json import (
    DECODE_ERRORS,
    ENCODE_ERRORS,
    MAX_DEPTH,
    check_encoded,
    exceeds_depth,
    not_serialisable,
)

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
FRAME_HEADER_BYTES: Final = 4

ENVELOPE_DEPTH: Final = 2
"""Levels the envelope and the payload add around parameters or a result."""

Framing: TypeAlias = Literal["length", "line"]
"""``"length"`` on sockets, ``"line"`` on stdin and stdout."""

_PAYLOAD: Final = "payload"
_PROBLEM_CHARS: Final = 300
_LENIENT_BYTES: Final = 1024 * 1024

_WIRE = (WireRequestMessage, WireResponseMessage)
_read_length = struct.Struct(">I").unpack_from
_encode = msgspec.json.Encoder().encode
_decode_message: Callable[[bytes], Message] = msgspec.json.Decoder(
    RequestMessage | ResponseMessage | CancelMessage | HelloMessage | PingMessage | PongMessage
).decode


class FrameDecoder:
    """Cut a byte stream into frame bodies, however the stream was split.

    After a :class:`ProtocolError` the decoder stays broken: where the next frame would begin is unknown.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._failure: ProtocolError | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished frame. Not 0 at the end of a stream means that it was truncated."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes and return the bodies they complete, in order.

        Raises:
            FrameTooLarge: A header announces more than the limit; nothing was allocated for it.
            ProtocolError: A header announces an empty body, or the decoder is already broken. In both cases
                ``error.completed`` holds the bodies completed before.
        """
        if self._failure is not None:
            raise _again(self._failure)
        # A read mostly holds whole frames; those are cut out of it without passing through the buffer.
        if self._buffer:
            self._buffer += data
            with memoryview(self._buffer) as view:
                bodies, used, failure = self._cut(view)
            del self._buffer[:used]
        else:
            bodies, used, failure = self._cut(data)
            if used < len(data):
                self._buffer += data[used:] if used else data
        if failure is not None:
            self._buffer.clear()
            self._failure = failure
            failure.completed = tuple(bodies)
            raise failure
        return bodies

    def _cut(self, data: bytes | memoryview) -> tuple[list[bytes], int, ProtocolError | None]:
        bodies: list[bytes] = []
        position, end = 0, len(data)
        while end - position >= FRAME_HEADER_BYTES:
            length: int = _read_length(data, position)[0]
            if length > self.max_frame_bytes:
                return bodies, position, FrameTooLarge(self.max_frame_bytes, length)
            if length == 0:
                return (
                    bodies,
                    position,
                    ProtocolError("a frame announces an empty body; each carries one message"),
                )
            start = position + FRAME_HEADER_BYTES
            if end - start < length:
                break
            position = start + length
            bodies.append(bytes(data[start:position]))
        return bodies, position, None


class LineDecoder:
    """Cut a byte stream into lines, one message each. Same use as :class:`FrameDecoder`.

    Blank lines are skipped and a carriage return before the newline is dropped, because programs print both
    by accident. A line that is no message is the reader's to refuse; the next one is unaffected.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._failure: ProtocolError | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished line. Not 0 at the end of a stream means that it was truncated."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes and return the lines they complete, in order, without their ends.

        Raises:
            FrameTooLarge: A line, finished or not, is over the limit. ``error.completed`` holds the lines
                before it.
            ProtocolError: The decoder is already broken.
        """
        if self._failure is not None:
            raise _again(self._failure)
        lines = data.split(b"\n")
        bodies: list[bytes] = []
        for line in lines[:-1]:
            if self._buffer:
                self._buffer += line
                line = bytes(self._buffer)
                self._buffer.clear()
            body = line.removesuffix(b"\r")
            if len(body) > self.max_frame_bytes:
                self._fail(len(body), bodies)
            if body and not body.isspace():
                bodies.append(body)
        self._buffer += lines[-1]
        # One byte more may be the carriage return of a line of exactly the limit.
        if len(self._buffer) > self.max_frame_bytes + 1:
            self._fail(len(self._buffer), bodies)
        return bodies

    def _fail(self, size_bytes: int, bodies: list[bytes]) -> None:
        self._buffer.clear()
        self._failure = FrameTooLarge(self.max_frame_bytes, size_bytes, completed=bodies)
        raise self._failure


def encode_body(message: Message | WireRequestMessage | WireResponseMessage) -> bytes:
    """Return the message as strict JSON, without framing.

    Raises:
        NotSerialisable: Parameters, a result or details have no strict JSON form; the text names the place.
    """
    try:
        body = _encode(message)
    except ENCODE_ERRORS as error:
        raise not_serialisable(_content_name(message), error) from None
    # Wire messages carry stored texts, in which null is null and which were checked when they came in.
    if not isinstance(message, _WIRE):
        try:
            check_encoded(message.payload, body, _PAYLOAD, MAX_DEPTH + ENVELOPE_DEPTH)
        except NotSerialisable as error:
            where = error.path.removeprefix(f"{_PAYLOAD}.")
            raise NotSerialisable(
                _content_name(message) if where == _PAYLOAD else where, error.problem
            ) from None
    return body


def encode_frame(
    message: Message | WireRequestMessage | WireResponseMessage, max_frame_bytes: int = MAX_FRAME_BYTES
) -> bytes:
    """Return the message as a length-prefixed frame.

    Raises:
        FrameTooLarge: The body is over the limit.
        NotSerialisable: See :func:`encode_body`.
    """
    return frame(encode_body(message), "length", max_frame_bytes)


def encode_line(
    message: Message | WireRequestMessage | WireResponseMessage, max_frame_bytes: int = MAX_FRAME_BYTES
) -> bytes:
    """Return the message as one line, newline included.

    Raises:
        FrameTooLarge: The body is over the limit.
        NotSerialisable: See :func:`encode_body`.
    """
    return frame(encode_body(message), "line", max_frame_bytes)


def frame(body: bytes, framing: Framing, max_frame_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """Return an encoded body ready to send.

    Raises:
        FrameTooLarge: The body is over the limit.
    """
    size = len(body)
    if size > max_frame_bytes:
        raise FrameTooLarge(max_frame_bytes, size)
    if framing == "length":
        return size.to_bytes(FRAME_HEADER_BYTES, "big") + body
    if b"\n" in body:
        # Only a stored text can bring one, and only between tokens: inside strings JSON escapes it.
        body = body.replace(b"\n", b" ")
    return body + b"\n"


def decode_body(body: bytes) -> Message:
    """Return the message in a frame body.

    Raises:
        InvalidMessage: It is not JSON, not a known message, or nested too deeply. Carries the ids still
            readable.
    """
    if exceeds_depth(body, MAX_DEPTH + ENVELOPE_DEPTH):
        raise invalid_message(body, RecursionError())
    try:
        return _decode_message(body)
    except DECODE_ERRORS as error:
        raise invalid_message(body, error) from None


def decode_frame(data: bytes) -> Message:
    """Return the message in one whole length-prefixed frame, header included.

    Raises:
        FrameTooLarge: The header announces more than the limit.
        ProtocolError: The data is not exactly one frame.
        InvalidMessage: See :func:`decode_body`.
    """
    decoder = FrameDecoder()
    bodies = decoder.feed(data)
    if len(bodies) != 1 or decoder.pending_bytes:
        raise ProtocolError(
            f"expected exactly one frame, got {len(bodies)} whole ones and {decoder.pending_bytes} bytes more"
        )
    return decode_body(bodies[0])


class _Remains(msgspec.Struct):
    """As much of an envelope as names its request; of any type, or one bad field would hide the rest."""

    type: msgspec.Raw = msgspec.Raw()
    payload: msgspec.Raw = msgspec.Raw()


class _Ids(msgspec.Struct):
    job_id: msgspec.Raw = msgspec.Raw()
    request_id: msgspec.Raw = msgspec.Raw()


_decode_remains = msgspec.json.Decoder(_Remains).decode
_decode_ids = msgspec.json.Decoder(_Ids).decode
_decode_text = msgspec.json.Decoder(str).decode


def invalid_message(body: bytes, error: BaseException) -> InvalidMessage:
    """Return the error for a body that could not be decoded, with whatever still identifies the request."""
    if isinstance(error, RecursionError):
        problem = f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(error, UnicodeDecodeError):
        problem = "not valid UTF-8"
    else:
        problem = str(error)[:_PROBLEM_CHARS]  # quotes what it found, which may be long
    message_type = job_id = request_id = None
    try:
        remains = _decode_remains(body)
        message_type = _text(remains.type)
        ids = _decode_ids(remains.payload)
        job_id, request_id = _text(ids.job_id), _text(ids.request_id)
    except DECODE_ERRORS:
        # Not strict JSON. Whom it concerns can often be read all the same.
        message_type, job_id, request_id = _lenient_ids(body)
    return InvalidMessage(problem, message_type=message_type, job_id=job_id, request_id=request_id)


_TEXT = rb'\s*:\s*("(?:[^"\\]|\\.){1,1000}")'
_find_types = re.compile(rb'^\s*\{\s*"type"' + _TEXT).findall
_find_job_ids = re.compile(rb'"job_id"' + _TEXT).findall
_find_request_ids = re.compile(rb'"request_id"' + _TEXT).findall


def _lenient_ids(body: bytes) -> tuple[str | None, str | None, str | None]:
    """Return type, job id and request id of what is almost JSON: it holds NaN, or is nested too deeply."""
    try:
        envelope = json.loads(body) if len(body) <= _LENIENT_BYTES else None
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        return _only(_find_types(body)), _only(_find_job_ids(body)), _only(_find_request_ids(body))
    payload = envelope.get(_PAYLOAD)
    ids = payload if isinstance(payload, dict) else {}
    return _plain(envelope.get("type")), _plain(ids.get("job_id")), _plain(ids.get("request_id"))


def _only(found: list[bytes]) -> str | None:
    """Return the text that was found, if it is but one: another may stand in somebody's result."""
    different = set(found)
    return _text(msgspec.Raw(different.pop())) if len(different) == 1 else None


def _plain(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return _decode_text(raw)
    except DECODE_ERRORS:
        return None


def _content_name(message: Message | WireRequestMessage | WireResponseMessage) -> str:
    """Return which field of the payload can be at fault when the codec does not say."""
    if isinstance(message, RequestMessage):
        return "params"
    if isinstance(message, ResponseMessage):
        return "result" if message.payload.error is None else "error"
    return _PAYLOAD


def _again(failure: ProtocolError) -> ProtocolError:
    repeated = ProtocolError(f"the stream is already broken: {failure}")
    repeated.__cause__ = failure
    return repeated
