"""Frames: cut out of any stream, however it was split, and refused at no cost (F61-F64)."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.errors import FrameTooLarge, ProtocolError
from rrq_protocol.frames import (
    MAX_FRAME_BYTES,
    FrameDecoder,
    LineDecoder,
    decode_body,
    decode_frame,
    encode_body,
    encode_frame,
    encode_line,
    frame,
)
from rrq_protocol.messages import (
    CancelMessage,
    CancelRequest,
    Hello,
    HelloMessage,
    Message,
    Ping,
    PingMessage,
    PongMessage,
)
from support.wire import request, success

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=8)
LINES = st.lists(
    st.binary(min_size=1, max_size=40).map(
        lambda line: line.replace(b"\n", b"n").replace(b"\r", b"r") + b"."
    ),
    max_size=8,
)


MESSAGES: list[Message] = [
    request({"to": "a@b.c"}),
    success([None, 1.5, "ü\x00\n"]),
    CancelMessage(CancelRequest(job_id="j1", request_id="r1")),
    HelloMessage(Hello("node", "22", ["echo"], extensions=["ping"])),
    PingMessage(Ping(1)),
    PongMessage(Ping(1)),
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at these places, taken modulo its length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def fed(decoder: FrameDecoder | LineDecoder, parts: list[bytes]) -> list[bytes]:
    """Feed the parts and return all bodies."""
    return [body for part in parts for body in decoder.feed(part)]


def test_a_frame_has_exactly_these_bytes() -> None:
    """A frame is its length in four bytes, big end first, and the body; a line is the body and a newline."""
    message = CancelMessage(CancelRequest(job_id="j1"))
    body = b'{"type":"cancel","payload":{"protocol_version":"2","job_id":"j1","hard_kill":false}}'
    assert encode_body(message) == body
    assert encode_frame(message) == b"\x00\x00\x00\x54" + body
    assert encode_line(message) == body + b"\n"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_survive_the_wire(message: Message) -> None:
    """Every message comes back equal through a frame, a line and a body."""
    assert decode_frame(encode_frame(message)) == message
    assert [decode_body(line) for line in LineDecoder().feed(encode_line(message))] == [message]
    assert decode_body(encode_body(message)) == message


@given(BODIES, st.lists(st.integers(0, 400), max_size=12))
def test_frames_are_found_at_any_split(bodies: list[bytes], cuts: list[int]) -> None:
    """However a stream is split, the same bodies come out, in order, and nothing is left over."""
    stream = b"".join(frame(body, "length") for body in bodies)
    decoder = FrameDecoder()
    assert fed(decoder, pieces(stream, cuts)) == bodies
    assert decoder.pending_bytes == 0


@given(
    LINES,
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"]),
)
def test_lines_are_found_at_any_split(lines: list[bytes], cuts: list[int], end: bytes) -> None:
    """However a stream is split, the same lines come out; blank lines and carriage returns do not."""
    decoder = LineDecoder()
    assert fed(decoder, pieces(b"".join(line + end for line in lines), cuts)) == lines
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize("decoder", [FrameDecoder(), LineDecoder()], ids=["length", "line"])
def test_byte_by_byte(decoder: FrameDecoder | LineDecoder) -> None:
    """One byte at a time is enough, and what is pending can be told."""
    encode = encode_frame if isinstance(decoder, FrameDecoder) else encode_line
    stream = b"".join(encode(message) for message in MESSAGES)
    assert [decode_body(body) for body in fed(decoder, [bytes([byte]) for byte in stream])] == MESSAGES
    decoder.feed(stream[:5])
    assert decoder.pending_bytes == 5


def test_bodies_do_not_share_the_buffer() -> None:
    """A body is the caller's: what arrives later does not change it."""
    stream = frame(b"one", "length") + frame(b"two", "length")
    decoder = FrameDecoder()
    first = fed(decoder, [stream[:5], stream[5:9]])
    assert decoder.feed(stream[9:]) == [b"two"]
    assert first == [b"one"]
    assert type(first[0]) is bytes


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_an_oversized_header_costs_nothing(size: int) -> None:
    """A length over the limit is refused when its header is there, without room being made for it (F63)."""
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        with pytest.raises(FrameTooLarge) as caught:
            decoder.feed(size.to_bytes(4, "big"))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert (caught.value.limit_bytes, caught.value.announced_bytes) == (MAX_FRAME_BYTES, size)


def test_a_header_alone_reserves_nothing() -> None:
    """A frame of the full size that is only announced takes no memory until its bytes arrive."""
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        assert decoder.feed(MAX_FRAME_BYTES.to_bytes(4, "big")) == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert decoder.pending_bytes == 4


def test_the_limit_is_inclusive() -> None:
    """A body of exactly the limit passes in both framings and directions, one byte more does not (F64)."""
    assert FrameDecoder(10).feed(frame(b"x" * 10, "length", 10)) == [b"x" * 10]
    assert LineDecoder(10).feed(frame(b"x" * 10, "line", 10)) == [b"x" * 10]
    assert fed(LineDecoder(10), [b"x" * 10, b"\r", b"\n"]) == [b"x" * 10]
    for framing in ("length", "line"):
        with pytest.raises(FrameTooLarge) as caught:
            frame(b"x" * 11, framing, 10)
        assert (caught.value.limit_bytes, caught.value.announced_bytes) == (10, 11)
    with pytest.raises(FrameTooLarge):
        FrameDecoder(10).feed(frame(b"x" * 11, "length"))
    with pytest.raises(FrameTooLarge):
        LineDecoder(10).feed(b"x" * 11 + b"\n")


def test_an_endless_line_is_refused_before_it_ends() -> None:
    """A line without an end is refused as soon as it cannot fit any more, so memory stays bounded."""
    decoder = LineDecoder(100)
    for _ in range(10):
        assert decoder.feed(b"x" * 10) == []
    with pytest.raises(FrameTooLarge):
        decoder.feed(b"xx")
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
        b'{"type":"request"}\n',
        b"\xff" * 64,
        b"\x00\x00\x00\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
    ids=["http", "tls", "line", "ones", "empty", "ssh", "redis"],
)
def test_other_protocols_are_refused_at_once(garbage: bytes) -> None:
    """What a stranger sends is no frame; the decoder stays broken afterwards (F62)."""
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError):
        decoder.feed(garbage)
    for data in (b"", b"\x00", encode_frame(MESSAGES[0])):
        with pytest.raises(ProtocolError, match="already broken") as caught:
            decoder.feed(data)
        assert caught.value.completed == ()
    assert decoder.pending_bytes == 0


@given(BODIES, st.lists(st.integers(0, 400), max_size=6), st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff"]))
def test_whole_frames_before_a_violation_are_kept(
    bodies: list[bytes], cuts: list[int], header: bytes
) -> None:
    """At any split, frames completed before a broken header are returned or carried by the error (F62)."""
    stream = b"".join(frame(body, "length") for body in bodies) + header
    decoder = FrameDecoder()
    found: list[bytes] = []
    for part in pieces(stream, cuts):
        try:
            found += decoder.feed(part)
        except ProtocolError as error:
            found += error.completed
            break
    assert found == bodies
    with pytest.raises(ProtocolError, match="already broken"):
        decoder.feed(b"")


def test_whole_lines_before_a_violation_are_kept() -> None:
    """The lines before one that is too long are carried by the error; the decoder stays broken."""
    decoder = LineDecoder(5)
    with pytest.raises(FrameTooLarge) as caught:
        decoder.feed(b"one\ntwo\nmuch too long\nfour\n")
    assert caught.value.completed == (b"one", b"two")
    with pytest.raises(ProtocolError, match="already broken"):
        decoder.feed(b"four\n")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_are_answered(data: bytes, cuts: list[int]) -> None:
    """Whatever arrives, decoding gives bodies and messages or a ProtocolError, nothing else."""
    for decoder in (FrameDecoder(50), LineDecoder(50)):
        try:
            for body in fed(decoder, pieces(data, cuts)):
                assert 0 < len(body) <= 50
                decode_body(body)
        except ProtocolError:
            pass


def test_large_frames_in_small_reads_are_held_once() -> None:
    """A large frame in small reads is held once, and not copied again for every read."""
    body = b"x" * 1_000_000
    stream = frame(body, "length")
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        assert fed(decoder, [stream[start : start + 1000] for start in range(0, len(stream), 1000)]) == [body]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", encode_frame(MESSAGES[0])[:-1], encode_frame(MESSAGES[0]) + b"x"]
)
def test_decode_frame_takes_exactly_one_frame(data: bytes) -> None:
    """Truncated data and trailing bytes are no frame."""
    with pytest.raises(ProtocolError, match="exactly one frame"):
        decode_frame(data)
    with pytest.raises(ProtocolError, match="exactly one frame, got 2"):
        decode_frame(encode_frame(MESSAGES[0]) * 2)
