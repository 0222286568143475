"""Runners of the first 0.9 line: args and kwargs, with and without an envelope."""

import json
from typing import Any

import pytest

from rrq_protocol import (
    BadMessage,
    CancelRequested,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequested,
    NotSerialisable,
    OrchestratorConnection,
    OutcomeReceived,
    Rejected,
    RunnerConnection,
)
from rrq_protocol.frames import Framing, frame
from support.wire import wire_request


def sent(params: bytes, framing: Framing = "length") -> dict[str, Any]:
    """Return the request an orchestrator sends for these params."""
    data = OrchestratorConnection(framing, version="1").request(wire_request(params=params))
    body: dict[str, Any] = json.loads(data[4:] if framing == "length" else data)
    return body


@pytest.mark.parametrize(
    ("params", "args", "kwargs"),
    [
        (b"{}", [], {}),
        (b'{"to":"a@b.c","n":12345678901234567890}', [], {"to": "a@b.c", "n": 12345678901234567890}),
        (b'{"args": [1, "two"], "flag":true}', [1, "two"], {"flag": True}),
        (b'{"args":"text"}', [], {"args": "text"}),
        (b'{"args":{"a":[1]},"kwargs":[2]}', [], {"args": {"a": [1]}, "kwargs": [2]}),
    ],
)
def test_params_travel_as_args_and_kwargs(params: bytes, args: list[Any], kwargs: dict[str, Any]) -> None:
    """A list under "args" is positional, the rest goes by name; nothing is called params."""
    payload = sent(params)["payload"]
    assert (payload["protocol_version"], payload["args"], payload["kwargs"]) == ("1", args, kwargs)
    assert "params" not in payload


def test_a_line_can_be_read_without_its_envelope() -> None:
    """All fields stand beside the envelope as well; on sockets there always was one."""
    line = sent(b'{"args":[1],"x":2}', "line")
    payload = line.pop("payload")
    assert line.pop("type") == "request"
    assert line == payload
    assert set(sent(b"{}")) == {"type", "payload"}


@pytest.mark.parametrize("framing", ["length", "line"])
@pytest.mark.parametrize("params", [b"{}", b'{"x":1}', b'{"args":[1,2],"x":{"y":null}}', b'{"args":7}'])
def test_our_runner_takes_either_version(framing: Framing, params: bytes) -> None:
    """What arrives is the same request as in version 2, and so is what comes back; cancels reach it."""
    orchestrator, runner = OrchestratorConnection(framing, version="1"), RunnerConnection(framing)
    (event,) = runner.receive(orchestrator.request(wire_request(params=params)))
    assert isinstance(event, ExecutionRequested)
    assert event.request.params == json.loads(params)
    (cancelled,) = runner.receive(orchestrator.cancel("r1", "j1"))
    assert isinstance(cancelled, CancelRequested)
    assert cancelled.request_ids == ("r1",)
    (answer,) = orchestrator.receive(runner.respond(ExecutionOutcome.success("j1", "r1", [1])))
    assert isinstance(answer, OutcomeReceived)
    assert bytes(answer.outcome.result) == b"[1]"


@pytest.mark.parametrize("wrong", ['"args":{}', '"kwargs":[]', '"args":[1],"kwargs":{"args":2}'])
def test_args_that_make_no_sense_are_refused(wrong: str) -> None:
    """Each concerns its own message alone."""
    context = '{"job_id":"j","attempt":1,"enqueue_time":"2024-05-01T12:00:00Z","queue_name":"q"}'
    ids = '"protocol_version":"1","request_id":"r","job_id":"j","function_name":"f"'
    body = f'{{"type":"request","payload":{{{ids},{wrong},"context":{context}}}}}'
    (event,) = RunnerConnection().receive(frame(body.encode(), "length"))
    assert isinstance(event, Rejected)
    assert event.error_type == "bad_message"
    assert (event.request_id, event.job_id) == ("r", "j")


def test_outcomes_without_an_envelope_are_understood() -> None:
    """With the text and the type of the error in fields of their own, and no request id."""
    orchestrator = OrchestratorConnection("line", version="1")
    orchestrator.request(wire_request())
    line = b'{"job_id":"j1","status":"error","error_message":"boom","error_type":"handler_not_found"}\n'
    (event,) = orchestrator.receive(line)
    assert isinstance(event, OutcomeReceived)
    assert (event.outcome.request_id, event.outcome.status) == ("r1", "error")
    assert event.outcome.error == ExecutionError("boom", "handler_not_found")
    orchestrator.request(wire_request())
    (event,) = orchestrator.receive(
        b'{"job_id":"j1","status":"success","result":{"ok":true},"error_message":null}\n'
    )
    assert isinstance(event, OutcomeReceived)
    assert (bytes(event.outcome.result), event.outcome.error) == (b'{"ok":true}', None)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("line", [b"hello from print()", b"{}", b'{"status":"done"}', b"[1]"])
def test_other_lines_are_bad_messages(version: Any, line: bytes) -> None:
    """A print() among the messages is no answer to anybody."""
    orchestrator = OrchestratorConnection("line", version=version)
    orchestrator.request(wire_request())
    (event,) = orchestrator.receive(line + b"\n")
    assert isinstance(event, BadMessage)
    assert len(orchestrator.outstanding) == 1


def test_an_outcome_without_an_envelope_is_no_answer_in_version_2() -> None:
    """The envelope is part of the contract there."""
    orchestrator = OrchestratorConnection("line")
    orchestrator.request(wire_request())
    (event,) = orchestrator.receive(b'{"job_id":"j1","status":"success"}\n')
    assert isinstance(event, BadMessage)


def test_a_lone_surrogate_is_refused_before_it_is_sent() -> None:
    """As in version 2."""
    orchestrator = OrchestratorConnection(version="1")
    with pytest.raises(NotSerialisable):
        orchestrator.request(wire_request(job_id="\ud800"))
    assert len(orchestrator.outstanding) == 0
