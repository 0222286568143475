"""Frames and both ends of a connection: any bytes, at any split (RELIABILITY.md F62 to F68, G15).

An input is two bytes that choose who reads and how the stream is split, and the stream. Mutations work on the
raw stream, and half of the time on one body inside intact framing.
"""

import json
import math
import random
import struct
import tracemalloc
import zlib
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from rrq_protocol import (
    ExecutionOutcome,
    InvalidMessage,
    OrchestratorConnection,
    OutcomeStatus,
    ProtocolError,
    ResponseMessage,
    RunnerConnection,
    WireContext,
    WireRequest,
)
from rrq_protocol.connection import (
    BadMessage,
    CancelRequested,
    ExecutionRequested,
    HelloReceived,
    OutcomeReceived,
    Rejected,
    StrayResponse,
)
from rrq_protocol.frames import FrameDecoder, Framing, LineDecoder, decode_body, encode_body
from rrq_protocol.strict_json import MAX_DEPTH
from support.fuzzing import Bytes, Fuzz
from support.fuzzing.mutation import mutated_bytes, mutated_tree

SHARE = 1 / 2  # streams; each holds two frames and more
LIMIT = 4096
OPEN = {"r1": "j1", "r2": "j2", "r3": "j2"}
TOKENS = (
    b'"type"', b'"payload"', b'"request"', b'"response"', b'"cancel"', b'"hello"', b'"request_id"',
    b'"job_id"', b'"r1"', b'"r2"', b'"j1"', b'"j2"', b'"r9"', b'"status"', b'"success"', b'"retry"',
    b'"timeout"', b'"error"', b'"result"', b'"message"', b'"details"', b'"params"', b'"context"',
    b'"protocol_version"', b'"2"', b'"1"', b'"retry_after_seconds"', b'"hard_kill"', b'"max_in_flight"',
    b'"handlers"', b'"attempt"', b'"enqueue_time"', b'"deadline"', b'"2026-01-01T00:00:00Z"',
    b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:60Z"', b"[" * 127, b"[" * 129, b"]" * 129,
    b'{"a":' * 130, b"\n", b"\r\n", b"\0\0\0\0", b"\0\0\x10\0", b"\0\0\x10\x01", b"\x80\0\0\0",
    b"\xff\xff\xff\xff",
)  # fmt: skip


Found = tuple[int, Iterable[Hashable]]
"""Whole frames read, and what they were."""


class Streams(Bytes):
    """Streams of frames behind two choosing bytes."""

    def __init__(self) -> None:
        super().__init__(TOKENS, kept=2)

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        head = case[:2] if rng.random() < 0.6 else rng.randbytes(2)
        head = head.ljust(2, b"\0")
        if rng.random() < 0.5:
            return head + mutated_bytes(case[2:], other[2:], rng, TOKENS)
        line = _is_line(case)
        bodies, _, _ = reference(case[2:], line)
        strange, _, _ = reference(other[2:], _is_line(other))
        if not bodies:
            return head + mutated_bytes(case[2:], other[2:], rng, TOKENS)
        at = int(rng.random() * len(bodies))
        near = rng.choice(strange) if strange else b""
        bodies[at] = _mutated_body(bodies[at], near, rng)
        if rng.random() < 0.2:
            bodies.insert(at, near or bodies[at])
        joined = b"".join(body + b"\n" if line else struct.pack(">I", len(body)) + body for body in bodies)
        return bytes([head[0] & ~2 | (2 if line else 0), head[1]]) + joined


def _mutated_body(body: bytes, near: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        try:
            tree, strange = json.loads(body), json.loads(near or b"{}")
            return json.dumps(mutated_tree(tree, strange, rng, _NAMES), ensure_ascii=False).encode(
                errors="surrogatepass"
            )
        except (ValueError, RecursionError):
            pass
    return mutated_bytes(body, near, rng, TOKENS)


_NAMES = tuple(token.strip(b'"') for token in TOKENS if token.startswith(b'"'))


def _is_line(case: bytes) -> bool:
    return bool(case[:1] and case[0] & 2)


def pieces(data: bytes, how: int) -> list[bytes]:
    """Return the stream in pieces: whole, in single bytes, or at a few places that follow from ``how``."""
    if how < 90:
        return [data]
    if how < 94 and len(data) <= 512:
        return [data[at : at + 1] for at in range(len(data))]
    state, places = zlib.crc32(data) ^ how, [0, len(data)]
    for _ in range(1 + how % 6):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        places.append((state >> 8) % (len(data) + 1))
    places.sort()
    return [data[start:end] for start, end in pairwise(places)]


def reference(stream: bytes, line: bool) -> tuple[list[bytes], bool, int]:
    """Return what a decoder must find: bodies, whether the framing is broken, and bytes left over.

    Written for being obviously right: it looks at the whole stream at once.
    """
    bodies: list[bytes] = []
    if line:
        *lines, rest = stream.split(b"\n")
        for each in lines:
            body = each.removesuffix(b"\r")
            if len(body) > LIMIT:
                return bodies, True, 0
            if body.strip():
                bodies.append(body)
        return bodies, len(rest) > LIMIT + 1, len(rest)
    while len(stream) >= 4:
        (size,) = struct.unpack(">I", stream[:4])
        if not 0 < size <= LIMIT:
            return bodies, True, 0
        if len(stream) < 4 + size:
            break
        bodies.append(stream[4 : 4 + size])
        stream = stream[4 + size :]
    return bodies, False, len(stream)


def check(case: bytes) -> Found:
    """Have the decoder or one of the two ends read a stream, as its first byte says."""
    case = case.ljust(2, b"\0")
    reader, how, stream = case[0] & 1, case[1], case[2:]
    framing: Framing = "line" if _is_line(case) else "length"
    if case[0] & 12 == 0:
        return _decoder(stream, framing, how)
    return _orchestrator(stream, framing, how) if reader else _runner(stream, framing, how, case[0] & 4)


def _fed(reader: Any, parts: Sequence[bytes]) -> tuple[list[Any], ProtocolError | None]:
    found: list[Any] = []
    for part in parts:
        try:
            found += reader.receive(part) if hasattr(reader, "receive") else reader.feed(part)
        except ProtocolError as error:
            found += error.completed
            return found, error
        assert reader.pending_bytes <= LIMIT + 4
    return found, None


def _decoder(stream: bytes, framing: Framing, how: int) -> Found:
    decoder = FrameDecoder(LIMIT) if framing == "length" else LineDecoder(LIMIT)
    bodies, error = _fed(decoder, pieces(stream, how))
    expected, broken, left = reference(stream, framing == "line")
    assert bodies == expected
    assert (error is not None) == broken
    if error is None:
        assert decoder.pending_bytes == left
    else:
        with pytest.raises(ProtocolError):
            decoder.feed(b"")
    kinds: set[Hashable] = {(framing, type(error), min(len(bodies), 3))}
    for body in bodies:
        try:
            message = decode_body(body)
        except InvalidMessage as invalid:
            kinds.add(_words(invalid.problem))
        else:
            # What could be read can be written, and reads as the same again.
            assert decode_body(encode_body(message)) == message
            kinds.add(type(message).__name__)
    return len(bodies), kinds


def _request(request_id: str, job_id: str) -> WireRequest:
    import msgspec

    context = WireContext(job_id=job_id, attempt=1, enqueue_time="2026-01-01T00:00:00Z", queue_name="default")
    return WireRequest(
        request_id=request_id, job_id=job_id, function_name="f", params=msgspec.Raw(b"{}"), context=context
    )


def _orchestrator(stream: bytes, framing: Framing, how: int) -> Found:
    ours = OrchestratorConnection(framing, LIMIT)
    for request_id, job_id in OPEN.items():
        ours.request(_request(request_id, job_id))
    events, error = _fed(ours, pieces(stream, how))
    answered = [str(event.outcome.request_id) for event in events if isinstance(event, OutcomeReceived)]
    for event in events:
        assert isinstance(event, OutcomeReceived | HelloReceived | StrayResponse | BadMessage)
        if isinstance(event, OutcomeReceived):
            assert event.outcome.job_id == OPEN[str(event.outcome.request_id)]
            assert event.outcome.status in OutcomeStatus
            # Redis keeps the result as it came, so it has to be JSON that any reader can read.
            _strict(bytes(event.outcome.result))
    # Each open request is answered once or left over; nothing else is either (F62, F69).
    assert len(answered) == len(set(answered))
    assert ours.state == ("open" if error is None else "broken")
    assert sorted([*answered, *ours.close()]) == sorted(OPEN)
    with pytest.raises(ProtocolError):
        ours.receive(b"")
    return len(events), {(framing, type(error)), *map(_kind, events)}


def _strict(text: bytes) -> None:
    if text:
        assert levels(json.loads(text.decode(), parse_constant=_finite, parse_float=_finite)) <= MAX_DEPTH


def levels(value: Any) -> int:
    """Return how many levels of lists and tables a value has."""
    count, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
        count += 1
    return count


def _finite(text: str) -> float:
    number = float(text)
    assert math.isfinite(number), f"{text} was taken for JSON"
    return number


def _runner(stream: bytes, framing: Framing, how: int, limited: int) -> Found:
    theirs = RunnerConnection(framing, 2 if limited else None, LIMIT)
    events, error = _fed(theirs, pieces(stream, how))
    opened: list[str] = []
    for event in events:
        assert isinstance(event, ExecutionRequested | CancelRequested | Rejected)
        if isinstance(event, ExecutionRequested):
            assert event.request.request_id not in opened
            assert levels(event.request.params) <= MAX_DEPTH
            opened.append(event.request.request_id)
        elif isinstance(event, Rejected) and event.reply:
            reply = _one(event.reply, framing)
            assert reply.status is OutcomeStatus.ERROR
            assert reply.request_id not in opened
    assert list(theirs.outstanding) == opened
    if limited:
        assert len(opened) <= 2
    if error is None:
        for request_id in opened:
            reply = _one(
                theirs.respond(ExecutionOutcome.success(theirs.outstanding[request_id], request_id, 1)),
                framing,
            )
            assert (reply.request_id, reply.result) == (request_id, 1)
    assert theirs.close() == (() if error is None else tuple(opened))
    return len(events), {(framing, type(error)), *map(_kind, events)}


def _one(data: bytes, framing: Framing) -> ExecutionOutcome:
    (body,) = (FrameDecoder(LIMIT) if framing == "length" else LineDecoder(LIMIT)).feed(data)
    message = decode_body(body)
    assert isinstance(message, ResponseMessage)
    return message.payload


_NO_DIGITS = str.maketrans("", "", "0123456789")


def _words(problem: str) -> str:
    return problem[:32].translate(_NO_DIGITS)


def _kind(event: object) -> Hashable:
    if isinstance(event, Rejected):
        return event.error_type, bool(event.reply), _words(event.problem)
    if isinstance(event, BadMessage):
        return _words(event.problem)
    return type(event).__name__


def test_any_stream_is_read_or_refused(fuzz: Fuzz) -> None:
    """Whatever arrives, however it is split: a decoder finds the bodies a plain reading finds, an end of a
    connection reports known events, answers each request once, and raises nothing but ProtocolError.
    """
    frames = 0

    def counted(case: bytes) -> Iterable[Hashable]:
        nonlocal frames
        seen, outcomes = check(case)
        frames += seen
        return outcomes

    report = fuzz.run("frames", Streams(), counted, share=SHARE)
    fuzz.say(f"  in these streams: {frames:,} frames")
    if fuzz.only is None:
        assert len(report.outcomes) > 100
        assert frames >= fuzz.count


@pytest.mark.parametrize("framing", ["length", "line"])
def test_a_bad_header_costs_no_memory(framing: Framing, fuzz: Fuzz) -> None:
    """A header that announces up to 4 GiB, and a stream without an end of a line, allocate only what came:
    less than 1 MiB for each (F63).
    """
    rng = random.Random(fuzz.seed)
    tracemalloc.start()
    try:
        for _ in range(200):
            size = rng.choice((2**24 - 1, 2**24, 2**24 + 1, 2**31, 2**32 - 1, rng.randrange(2**32)))
            sent = size.to_bytes(4, "big") + rng.randbytes(rng.randrange(64)).replace(b"\n", b"x")
            decoder = FrameDecoder() if framing == "length" else LineDecoder()
            connection = OrchestratorConnection(framing)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            _fed_default(decoder, sent)
            _fed_default(connection, sent)
            assert tracemalloc.get_traced_memory()[1] - before < 64 * 1024, f"{sent.hex()}, seed {fuzz.seed}"
    finally:
        tracemalloc.stop()


def _fed_default(reader: Any, sent: bytes) -> None:
    try:
        reader.receive(sent) if hasattr(reader, "receive") else reader.feed(sent)
    except ProtocolError:
        assert reader.pending_bytes == 0
