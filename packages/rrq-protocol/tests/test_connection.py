"""Both ends of a runner connection: one response per request, in any order and at any split (F69-F73)."""

from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol import _connection_machine as machine
from rrq_protocol.connection import (
    CONNECTION,
    REQUEST,
    BadMessage,
    CancelRequested,
    ExecutionRequested,
    OrchestratorConnection,
    OutcomeReceived,
    Rejected,
    RunnerConnection,
    StrayResponse,
)
from rrq_protocol.errors import FrameTooLarge, NotSerialisable, ProtocolError
from rrq_protocol.frames import Framing, encode_frame
from rrq_protocol.messages import (
    CancelMessage,
    CancelRequest,
    ErrorType,
    ExecutionOutcome,
    OutcomeStatus,
)
from support.wire import NOON, opened, response, waiting, wire_request

# The tables.


def test_the_tables_are_closed() -> None:
    """The tables use the declared states and events, all of them, and every state can be reached."""
    for table, states, events, start in (
        (CONNECTION, machine.ConnectionState, machine.ConnectionEvent, "open"),
        (REQUEST, machine.RequestState, machine.RequestEvent, "absent"),
    ):
        assert {state for state, _ in table} | set(table.values()) == set(get_args(states))
        assert {event for _, event in table} == set(get_args(events))
        reached = {start}
        for _ in table:
            reached |= {after for (before, _), after in table.items() if before in reached}
        assert reached == set(get_args(states))


def test_the_tables_keep_their_promises() -> None:
    """Nothing leaves the closed state, no broken stream carries traffic, a response ends every request."""
    assert {after for (before, _), after in CONNECTION.items() if before == "closed"} == {"closed"}
    assert [state for state in get_args(machine.ConnectionState) if (state, "traffic") in CONNECTION] == [
        "open"
    ]
    for state in ("open", "cancelling"):
        assert REQUEST[state, "response"] == "absent"
        assert (state, "request") not in REQUEST


# Request and response.


@pytest.mark.parametrize("framing", ["length", "line"])
def test_a_request_is_answered(framing: Framing) -> None:
    """A request travels to the runner, its outcome back, and both ends have nothing open afterwards."""
    orchestrator, runner = OrchestratorConnection(framing), RunnerConnection(framing)
    data = orchestrator.request(wire_request(params=b'{"to": "a@b.c"}'))
    assert dict(orchestrator.outstanding) == {"r1": "j1"}
    (event,) = runner.receive(data)
    assert isinstance(event, ExecutionRequested)
    assert (event.request.params, event.request.context.enqueue_time) == ({"to": "a@b.c"}, NOON)
    assert dict(runner.outstanding) == {"r1": "j1"}
    (received,) = orchestrator.receive(runner.respond(ExecutionOutcome.success("j1", "r1", {"sent": True})))
    assert isinstance(received, OutcomeReceived)
    assert received.outcome.status is OutcomeStatus.SUCCESS
    assert bytes(received.outcome.result) == b'{"sent":true}'
    assert not orchestrator.outstanding
    assert not runner.outstanding


def test_a_request_has_exactly_these_bytes() -> None:
    """The orchestrator's frame is the public message, its parameters byte for byte as stored."""
    body = (
        b'{"type":"request","payload":{"protocol_version":"2","request_id":"r1","job_id":"j1",'
        b'"function_name":"f","params":{"a": 1},"context":{"job_id":"j1","attempt":1,'
        b'"enqueue_time":"2024-05-01T12:00:00Z",'
        b'"queue_name":"default"}}}'
    )
    data = OrchestratorConnection().request(wire_request(params=b'{"a": 1}'))
    assert data == len(body).to_bytes(4, "big") + body


@given(st.integers(1, 12), st.integers(), st.sampled_from(["length", "line"]))
def test_any_order_and_any_split(count: int, seed: int, framing: Framing) -> None:
    """Responses in any order, in reads of any size, reach their requests; each exactly once."""
    random = Random(seed)
    orchestrator, runner = OrchestratorConnection(framing), RunnerConnection(framing)
    sent = b"".join(orchestrator.request(wire_request(f"r{n}", f"j{n}")) for n in range(count))
    requests = [
        event.request for event in split(runner, sent, random) if isinstance(event, ExecutionRequested)
    ]
    assert [request.request_id for request in requests] == [f"r{n}" for n in range(count)]
    random.shuffle(requests)
    replies = b"".join(
        runner.respond(ExecutionOutcome.success(each.job_id, each.request_id, each.job_id))
        for each in requests
    )
    events = split(orchestrator, replies, random)
    assert [event.outcome.request_id for event in events] == [each.request_id for each in requests]
    assert [bytes(event.outcome.result) for event in events] == [
        f'"{each.job_id}"'.encode() for each in requests
    ]
    assert orchestrator.close() == runner.close() == ()


def split(end: Any, data: bytes, random: Random) -> list[Any]:
    """Feed data in reads of random sizes and return all events."""
    events: list[Any] = []
    while data:
        size = random.randint(1, 200)
        events += end.receive(data[:size])
        data = data[size:]
    return events


def test_a_response_may_come_before_the_request_left() -> None:
    """A response that overtakes the writing of its request is matched (F73)."""
    orchestrator = OrchestratorConnection()
    orchestrator.request(wire_request())
    (event,) = orchestrator.receive(response(ExecutionOutcome.success("j1", "r1")))
    assert isinstance(event, OutcomeReceived)


def test_a_second_response_is_a_stray() -> None:
    """Only the first response counts; duplicates are reported and counted (F69, F70)."""
    orchestrator = waiting(("r1", "j1"), ("r2", "j2"))
    reply = response(ExecutionOutcome.success("j1", "r1"))
    first, second, third = orchestrator.receive(reply * 3)
    assert isinstance(first, OutcomeReceived)
    assert second == third == StrayResponse("r1", "j1")
    assert orchestrator.strays_in_a_row == 2
    assert dict(orchestrator.outstanding) == {"r2": "j2"}
    orchestrator.receive(response(ExecutionOutcome.success("j2", "r2")))
    assert orchestrator.strays_in_a_row == 0


def test_an_unknown_response_is_a_stray() -> None:
    """A response to nothing we asked changes nothing (F70)."""
    orchestrator = waiting(("r1", "j1"))
    assert orchestrator.receive(response(ExecutionOutcome.success("j1", "r9"))) == [StrayResponse("r9", "j1")]
    assert dict(orchestrator.outstanding) == {"r1": "j1"}


def test_a_response_of_the_wrong_job_is_a_bad_message() -> None:
    """A known request id with another job's id stores no result; the request stays open (F71)."""
    orchestrator = waiting(("r1", "j1"))
    (event,) = orchestrator.receive(response(ExecutionOutcome.success("j9", "r1", "stolen")))
    assert isinstance(event, BadMessage)
    assert (event.request_id, event.job_id) == ("r1", "j9")
    assert "'r1' is of job 'j1', the response says 'j9'" in event.problem
    assert dict(orchestrator.outstanding) == {"r1": "j1"}


def test_a_late_response_is_a_stray() -> None:
    """Once the orchestrator gave a request up, its response is dropped (F72)."""
    orchestrator = waiting(("r1", "j1"))
    assert orchestrator.abandon("r1")
    assert not orchestrator.abandon("r1")
    assert orchestrator.receive(response(ExecutionOutcome.success("j1", "r1"))) == [StrayResponse("r1", "j1")]


@pytest.mark.parametrize(
    ("open_requests", "job_id", "matched"),
    [
        ([("r1", "j1")], None, "r1"),
        ([("r1", "j1")], "j1", "r1"),
        ([("r1", "j1"), ("r2", "j2")], "j2", "r2"),
        ([("r1", "j1"), ("r2", "j2")], None, None),
        ([("r1", "j1"), ("r2", "j2")], "j9", None),
        ([("r1", "j1"), ("r2", "j1")], "j1", None),
        ([], "j1", None),
    ],
)
def test_a_response_without_request_id_is_matched_if_it_is_unambiguous(
    open_requests: list[tuple[str, str]], job_id: str | None, matched: str | None
) -> None:
    """The only open request, else the only one of its job, is meant; the event then has both ids."""
    orchestrator = waiting(*open_requests)
    (event,) = orchestrator.receive(response(ExecutionOutcome(job_id=job_id, status=OutcomeStatus.SUCCESS)))
    if matched is None:
        assert event == StrayResponse(None, job_id)
        assert dict(orchestrator.outstanding) == dict(open_requests)
    else:
        assert isinstance(event, OutcomeReceived)
        assert (event.outcome.request_id, event.outcome.job_id) == (matched, dict(open_requests)[matched])


def test_the_only_open_request_is_not_given_another_jobs_response() -> None:
    """Without a request id, the job id must still be right."""
    (event,) = waiting(("r1", "j1")).receive(
        response(ExecutionOutcome(job_id="j9", status=OutcomeStatus.SUCCESS))
    )
    assert isinstance(event, BadMessage)


def test_a_request_id_is_used_once_at_a_time() -> None:
    """An id that is open cannot be opened again; after its response it can."""
    orchestrator = waiting(("r1", "j1"))
    with pytest.raises(ProtocolError, match="already open"):
        orchestrator.request(wire_request("r1", "j2"))
    assert dict(orchestrator.outstanding) == {"r1": "j1"}
    orchestrator.receive(response(ExecutionOutcome.success("j1", "r1")))
    orchestrator.request(wire_request("r1", "j2"))


@pytest.mark.parametrize("framing", ["length", "line"])
def test_an_oversized_request_is_refused_before_it_is_open(framing: Framing) -> None:
    """A request over the limit is never sent; its neighbours are untouched (F64)."""
    orchestrator = OrchestratorConnection(framing, max_frame_bytes=400)
    orchestrator.request(wire_request("r1", "j1"))
    with pytest.raises(FrameTooLarge):
        orchestrator.request(wire_request("r2", "j2", b'{"a":"' + b"x" * 400 + b'"}'))
    assert dict(orchestrator.outstanding) == {"r1": "j1"}


def test_an_unsendable_request_is_refused_before_it_is_open() -> None:
    """A lone surrogate in a name is refused, nothing is open."""
    orchestrator = OrchestratorConnection()
    with pytest.raises(NotSerialisable):
        orchestrator.request(wire_request("r1", "\ud800"))
    assert not orchestrator.outstanding


# Cancelling.


def test_cancelling_asks_for_an_early_response() -> None:
    """A cancelled request stays open on both ends until its one response; asking again is allowed."""
    orchestrator, runner = waiting(("r1", "j1")), opened(("r1", "j1"))
    for hard_kill in (False, True):
        (event,) = runner.receive(orchestrator.cancel("r1", "j1", hard_kill))
        assert isinstance(event, CancelRequested)
        assert event.request_ids == ("r1",)
        assert event.cancel == CancelRequest(job_id="j1", request_id="r1", hard_kill=hard_kill)
    (received,) = orchestrator.receive(runner.respond(ExecutionOutcome.cancelled("j1", "r1")))
    assert isinstance(received, OutcomeReceived)
    assert received.outcome.error is not None
    assert received.outcome.error.type == ErrorType.CANCELLED
    assert orchestrator.close() == runner.close() == ()


def test_cancelling_what_is_over_sends_nothing() -> None:
    """There is nothing to cancel after the response, so there is nothing to send."""
    assert OrchestratorConnection().cancel("r1", "j1", True) == b""


@pytest.mark.parametrize(
    ("cancel", "request_ids"),
    [
        (CancelRequest(job_id="j1"), ("r1", "r2")),
        (CancelRequest(job_id="j1", request_id="r2"), ("r2",)),
        (CancelRequest(job_id="j2", request_id="r2"), ()),
        (CancelRequest(job_id="j9"), ()),
        (CancelRequest(job_id="j1", request_id="r9"), ()),
    ],
)
def test_a_cancel_names_its_requests(cancel: CancelRequest, request_ids: tuple[str, ...]) -> None:
    """A cancel means all requests of its job, or the one it names; one that is over means nothing."""
    runner = opened(("r1", "j1"), ("r2", "j1"), ("r3", "j3"))
    assert runner.receive(encode_frame(CancelMessage(cancel))) == [CancelRequested(cancel, request_ids)]
    assert len(runner.outstanding) == 3


@given(st.integers())
def test_the_two_ends_agree_over_any_history(seed: int) -> None:
    """Over a random history of requests, cancels, responses and duplicates, none is answered twice."""
    random = Random(seed)
    orchestrator, runner = OrchestratorConnection(), RunnerConnection(max_in_flight=4)
    down = up = b""
    ended: dict[str, str] = {}
    for step in range(60):
        match random.randrange(6):
            case 0:
                down += orchestrator.request(wire_request(f"r{step}", f"j{step % 3}"))
            case 1 if orchestrator.outstanding:
                request_id = random.choice(list(orchestrator.outstanding))
                down += orchestrator.cancel(request_id, orchestrator.outstanding[request_id])
            case 2 if orchestrator.outstanding:
                request_id = random.choice(list(orchestrator.outstanding))
                assert orchestrator.abandon(request_id)
                ended[request_id] = "abandoned"
            case 3 if runner.outstanding:
                request_id = random.choice(list(runner.outstanding))
                job_id = runner.outstanding[request_id]
                up += runner.respond(
                    ExecutionOutcome.success(job_id, request_id, request_id)
                ) * random.choice([1, 2])
            case 4:
                size = random.randint(0, len(down))
                for event in runner.receive(down[:size]):
                    up += event.reply if isinstance(event, Rejected) else b""
                down = down[size:]
            case 5:
                size = random.randint(0, len(up))
                for received in orchestrator.receive(up[:size]):
                    if isinstance(received, OutcomeReceived):
                        assert received.outcome.request_id is not None
                        assert received.outcome.request_id not in ended
                        ended[received.outcome.request_id] = received.outcome.status
                    else:
                        assert isinstance(received, StrayResponse)
                        assert received.request_id in ended
                up = up[size:]
    assert set(orchestrator.close()).isdisjoint(ended)
    assert len(runner.outstanding) <= 4
