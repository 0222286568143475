"""The orchestrator's end of a connection: what it is told, and how a connection ends (F62, F65-F68)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.connection import (
    BadMessage,
    ExecutionRequested,
    HelloReceived,
    OrchestratorConnection,
    OutcomeReceived,
    Pinged,
    PongReceived,
    Rejected,
    RunnerConnection,
)
from rrq_protocol.errors import ProtocolError
from rrq_protocol.frames import Framing, frame
from rrq_protocol.messages import (
    ExecutionOutcome,
    Hello,
    Ping,
)
from support.wire import response, waiting, wire_request


def test_a_hello_is_passed_on() -> None:
    """The runner's introduction is an event of its own, before any response."""
    hello = Hello("rrq-runner", "1.0", ["echo"], 10)
    assert OrchestratorConnection().receive(RunnerConnection().hello(hello)) == [HelloReceived(hello)]


def test_a_ping_is_answered_by_its_number() -> None:
    """Between requests and beside them; neither end keeps anything of it (F74)."""
    orchestrator, runner = OrchestratorConnection(), RunnerConnection(max_in_flight=1)
    (requested, pinged) = runner.receive(orchestrator.request(wire_request()) + orchestrator.ping(7))
    assert isinstance(requested, ExecutionRequested)
    assert isinstance(pinged, Pinged)
    assert orchestrator.receive(pinged.reply) == [PongReceived(Ping(7))]
    assert len(orchestrator.outstanding) == 1


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (b"nonsense", None),
        (b"{}", None),
        (b'{"type":"request","payload":{"request_id":"r1"}}', "r1"),
        (b'{"type":"progress","payload":{"request_id":"r1"}}', "r1"),
        (b'{"type":"response","payload":{"request_id":"r1"}}', "r1"),
        (b'{"type":"response","payload":{"request_id":"r1","status":"done"}}', "r1"),
        (b'{"type":"response","payload":{"request_id":"r1","status":"success","result":1e999}}', "r1"),
        (b'{"type":"response","payload":{"request_id":"r1","status":"success","result":"\xff"}}', "r1"),
        (b'{"type":"response","payload":{"request_id":"r1","status":"success","result":"\\udc00..."}}', "r1"),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"success","result":'
            + b"[" * 200
            + b"]" * 200
            + b"}}",
            "r1",
        ),
        (
            b'{"type":"response","payload":{"request_id":"r1","status":"error","error":{"message":"m","details":'
            + b"[" * 200
            + b"]" * 200
            + b"}}}",
            "r1",
        ),
        (b'{"type":"response","payload":{"result":' + b"[" * 1_000_000, None),
    ],
    ids=lambda value: ascii(value[:90]) if isinstance(value, bytes) else "",
)
def test_a_bad_response_concerns_itself_alone(body: bytes, request_id: str | None) -> None:
    """A response that cannot be understood ends nothing; the next one is matched all the same (F65-F68)."""
    orchestrator = waiting(("r1", "j1"), ("r2", "j2"))
    bad, good = orchestrator.receive(frame(body, "length") + response(ExecutionOutcome.success("j2", "r2")))
    assert isinstance(bad, BadMessage)
    assert bad.request_id == request_id
    assert 0 < len(bad.problem) <= 400
    assert isinstance(good, OutcomeReceived)
    assert dict(orchestrator.outstanding) == {"r1": "j1"}


@pytest.mark.parametrize(
    ("body", "echoed"),
    [
        (b'{"type":"request","payload":{"request_id":"r1","job_id":"j1"}}', True),
        (b'{"type":"cancel","payload":{"request_id":"r1","job_id":"j1"}}', True),
        (b'{"type":"ping","payload":{"number":1}}', True),
        (b'{"type":"response","payload":{"request_id":"r1","status":"perhaps"}}', False),
        (b'{"type":"news","payload":{"request_id":"r1"}}', False),
        (b"[]", False),
    ],
)
def test_an_echo_is_told_from_a_wrong_answer(body: bytes, echoed: bool) -> None:
    """What only orchestrators send comes from a peer that repeats what it hears."""
    (bad,) = waiting(("r1", "j1")).receive(frame(body, "length"))
    assert isinstance(bad, BadMessage)
    assert bad.echoed is echoed


def test_results_are_kept_byte_for_byte() -> None:
    """A result is stored as the runner wrote it: spacing, large integers, escapes, repeated keys."""
    result = b'{"b" : 9007199254740993, "a":"\\u00fc", "a":1.0,\n"z":null}'
    body = b'{"type":"response","payload":{"request_id":"r1","status":"success","result":%s}}' % result
    (event,) = waiting(("r1", "j1")).receive(frame(body, "length"))
    assert isinstance(event, OutcomeReceived)
    assert bytes(event.outcome.result) == result


# The end of a connection.


@pytest.mark.parametrize("violation", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_violation_breaks_the_connection_and_keeps_what_came_before(violation: bytes) -> None:
    """Good answers before a broken header count; only unanswered requests are in doubt (F62)."""
    orchestrator = waiting(("r1", "j1"), ("r2", "j2"))
    with pytest.raises(ProtocolError) as caught:
        orchestrator.receive(response(ExecutionOutcome.success("j1", "r1")) + violation)
    (event,) = caught.value.completed
    assert isinstance(event, OutcomeReceived)
    assert str(orchestrator.state) == "broken"
    with pytest.raises(ProtocolError, match="connection is broken"):
        orchestrator.receive(response(ExecutionOutcome.success("j2", "r2")))
    with pytest.raises(ProtocolError, match="connection is broken"):
        orchestrator.request(wire_request("r3", "j3"))
    assert orchestrator.close() == ("r2",)
    assert orchestrator.state == "closed"


def test_a_closed_connection_is_used_no_more() -> None:
    """Closing twice is fine; sending and receiving on a closed connection are the caller's mistakes."""
    orchestrator = waiting(("r1", "j1"), ("r2", "j2"))
    assert orchestrator.close() == ("r1", "r2")
    assert orchestrator.close() == ()
    assert not orchestrator.outstanding
    assert not orchestrator.abandon("r1")
    with pytest.raises(ProtocolError, match="connection is closed; open a new one"):
        orchestrator.request(wire_request())
    with pytest.raises(ProtocolError, match="connection is closed"):
        orchestrator.cancel("r1", "j1")
    with pytest.raises(ProtocolError, match="connection is closed"):
        orchestrator.receive(b"")


def test_a_cut_message_can_be_told() -> None:
    """At the end of a stream, bytes that are pending mean that it was cut in a message."""
    orchestrator = waiting(("r1", "j1"))
    assert orchestrator.receive(response(ExecutionOutcome.success("j1", "r1"))[:-1]) == []
    assert orchestrator.pending_bytes > 0
    assert orchestrator.close() == ("r1",)


@given(st.binary(max_size=300), st.sampled_from(["length", "line"]))
def test_any_bytes_are_answered(data: bytes, framing: Framing) -> None:
    """Whatever arrives, either end gives events or a ProtocolError, and its open requests stay open."""
    orchestrator, runner = OrchestratorConnection(framing, 100), RunnerConnection(framing, 1, 100)
    for end in (orchestrator, runner):
        try:
            events: list[Any] = list(end.receive(data))
        except ProtocolError as error:
            events = list(error.completed)
        assert all(isinstance(event, BadMessage | Rejected) for event in events)
        assert not end.outstanding
