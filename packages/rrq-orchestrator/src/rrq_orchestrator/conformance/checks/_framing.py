"""How a stream is cut into messages, and what is no message."""

import asyncio
import json
from collections.abc import Iterable
from typing import Final

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.talk import Talk, expect_error, expect_success, shown
from rrq_orchestrator.conformance.verdict import Finding

_PAUSE_S: Final = 0.002
"""Long enough that a runner reads the parts apart; if it does not, the check is weaker, never wrong."""
_LIMIT: Final = 16 * 1024 * 1024

_NOT_JSON: Final = (
    b"{",
    b'{"type":"request","payload":',
    b"\xff\xfe\x00",
    b"hello",
    b"\x00",
    b'{"a":NaN}',
    b"[" * 5000,
)
_BAD_FIELDS: Final = (
    ("params", [1]),
    ("params", "x"),
    ("context", None),
    ("context", 5),
    ("function_name", 7),
)
_NOT_OURS: Final = (
    b"null",
    b"[]",
    b"17",
    b"{}",
    b'{"type":"request"}',
    b'{"payload":{}}',
    b'{"type":"nonsense","payload":{}}',
    b'{"type":5,"payload":{}}',
    b'{"type":"cancel","payload":{}}',
    b'{"type":"cancel","payload":null}',
    b'{"type":"response","payload":{"request_id":"nobody","job_id":"nobody","status":"success"}}',
)


async def split(bench: Bench) -> str | None:
    """A request cut in two, at every place, and byte by byte."""
    talk = await bench.talk()
    place, size = 0, 1
    while place < size:
        params = {"n": 1000 + place, "text": "ä→😀"}
        asked = talk.request("echo", params, request_id=f"split-{1000 + place}", job_id="split")
        data = talk.link.framed(asked.body)
        size = len(data)
        talk.link.send(data[:place])
        await asyncio.sleep(_PAUSE_S)
        talk.link.send(data[place:])
        expect_success(await talk.answer(asked), params)
        place += 1
    asked = talk.request("echo", {"slowly": "ä→😀"})
    for byte in talk.link.framed(asked.body):
        talk.link.send(bytes([byte]))
        await asyncio.sleep(_PAUSE_S)
    expect_success(await talk.answer(asked), {"slowly": "ä→😀"})
    return f"{size - 1} places"


async def joined(bench: Bench) -> str | None:
    """Several requests, and the first bytes of another, in one write."""
    talk = await bench.talk()
    asked = [talk.request("echo", {"n": number}) for number in range(4)]
    data = b"".join(talk.link.framed(each.body) for each in asked)
    talk.link.send(data[:-3])
    for number, each in enumerate(asked[:-1]):
        expect_success(await talk.answer(each), {"n": number})
    talk.link.send(data[-3:])
    expect_success(await talk.answer(asked[-1]), {"n": 3})
    return None


async def blank_lines(bench: Bench) -> str | None:
    """Blank lines and carriage returns are no messages."""
    talk = await bench.talk()
    asked = talk.request("echo", {"n": 1})
    talk.link.send(b"\n  \n\r\n" + asked.body + b"\r\n\n")
    expect_success(await talk.answer(asked), {"n": 1})
    await talk.fence()
    return None


async def bad_json(bench: Bench) -> str | None:
    """What is no JSON ends the connection at most."""
    return await _survives(bench, _NOT_JSON)


async def wrong_envelope(bench: Bench) -> str | None:
    """What is JSON but no message ends the connection at most."""
    return await _survives(bench, _NOT_OURS)


async def neighbours(bench: Bench) -> str | None:
    """What cannot be understood concerns that message alone."""
    talk = await bench.talk()
    open_ = [talk.ask("sleep", {"seconds": 0.3 + number / 10}) for number in range(2)]
    talk.provoke(b'{"type":"request","payload":')
    talk.provoke(b'{"type":"nonsense","payload":{}}')
    for each in open_:
        answer = await talk.answer(each)
        if answer["status"] != "success":
            raise Finding(f"expected an open request to go on, got {shown(answer)}")
    return None


async def half_readable(bench: Bench) -> str | None:
    """A request that cannot be understood is answered, or its connection closed; nobody waits for ever."""
    closed = 0
    for field, value in _BAD_FIELDS:
        talk = await bench.talk()
        talk.provoked = True
        asked = talk.request("echo")
        message = json.loads(asked.body)
        message["payload"][field] = value
        talk.link.send_body(json.dumps(message).encode())
        answer = await talk.answer_or_end(asked)
        closed += answer is None
    await _serves(bench)
    return "closes the connection" if closed else None


async def wrong_version(bench: Bench) -> str | None:
    """A version the runner does not speak is refused, with the request's ids."""
    talk = await bench.talk()
    kinds = set()
    for version in ("3", "99", ""):
        answer = await talk.call("echo", {"version": version}, protocol_version=version)
        expect_error(answer)
        kinds.add(str(answer["error"].get("type")))
    await talk.fence()
    return None if kinds == {"unsupported_version"} else f"error of type {', '.join(sorted(kinds))}"


async def oversized(bench: Bench) -> str | None:
    """A header over the limit ends the connection at once, and nothing but the connection."""
    for size in (_LIMIT + 1, 2**31, 2**32 - 1, int.from_bytes(b"GET ")):
        talk = await bench.talk()
        talk.link.send(size.to_bytes(4, "big") + b"x" * 100)
        await _expect_closed(talk, f"a header of {size} bytes")
    await _serves(bench)
    return None


async def empty(bench: Bench) -> str | None:
    """A header of no bytes ends the connection at most."""
    talk = await bench.talk()
    talk.provoked = True
    talk.link.send(bytes(4))
    asked = talk.ask("echo", {"n": 1})
    answer = await talk.answer_or_end(asked)
    await _serves(bench)
    return None if answer is None else "the connection goes on"


async def half_frame(bench: Bench) -> str | None:
    """A connection that ends in the middle of a message concerns nobody else."""
    for cut in (1, 4, 40):
        talk = await bench.talk()
        talk.link.send(talk.link.framed(talk.request("echo").body)[:cut])
        await asyncio.sleep(_PAUSE_S)
        talk.link.close()
        await _serves(bench)
    return None


async def _expect_closed(talk: Talk, what: str) -> None:
    if not await talk.link.closed(talk.patience_s):
        raise Finding(f"expected the runner to close the connection after {what}, it is still open")


async def _survives(bench: Bench, bodies: Iterable[bytes]) -> str | None:
    closed = 0
    for body in bodies:
        talk = await bench.talk()
        talk.provoke(body)
        asked = talk.ask("echo", {"after": 1})
        answer = await talk.answer_or_end(asked)
        if answer is not None:
            expect_success(answer, {"after": 1})
            continue
        closed += 1
        if bench.kind == "stdio":
            raise Finding(f"expected the line {body[:60]!r} to be refused, the process closed its pipes")
        await _serves(bench)
    return f"closes the connection after {closed} of them" if closed else None


async def _serves(bench: Bench) -> None:
    talk = await bench.talk()
    expect_success(await talk.call("echo", {"serves": True}), {"serves": True})
