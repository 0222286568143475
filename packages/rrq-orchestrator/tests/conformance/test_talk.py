"""Answers belong to requests, one each."""

import json
from typing import Any

import pytest

from rrq_orchestrator.conformance.link import Link
from rrq_orchestrator.conformance.talk import Talk, expect_error, expect_success, later, shown
from rrq_orchestrator.conformance.verdict import Finding

pytestmark = pytest.mark.anyio


def say(talk: Talk, payload: Any, kind: str = "response") -> None:
    """Let the runner say something."""
    talk.link.data_received(talk.link.framed(json.dumps({"type": kind, "payload": payload}).encode()))


@pytest.fixture
def talk() -> Talk:
    """Return a talk over a connection nobody serves."""
    return Talk(Link(stdio=False), 0.05)


async def test_answers_are_matched_by_request_id(talk: Talk) -> None:
    """In any order."""
    first, second = talk.ask("echo"), talk.ask("echo")
    for asked in (second, first):
        say(talk, {"request_id": asked.request_id, "job_id": asked.job_id, "status": "success"})
    assert (await talk.answer(first))["job_id"] == first.job_id
    assert talk.order == [second.request_id, first.request_id]
    assert talk.idle
    assert not talk.is_open(first)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"request_id": "nobody", "status": "success"}, "open requests only"),
        ({"request_id": "r", "job_id": "other", "status": "success"}, "job_id: expected"),
        ({"request_id": "r", "status": "fine"}, "status: expected one of error"),
        ({"request_id": "r"}, "status: expected"),
        ([], "payload"),
    ],
)
async def test_a_wrong_answer_is_found(talk: Talk, payload: Any, text: str) -> None:
    """Whatever is wrong with it."""
    asked = talk.ask("echo", request_id="r", job_id="j")
    say(talk, payload)
    with pytest.raises(Finding, match=text):
        await talk.answer(asked)


async def test_a_second_answer_is_found(talk: Talk) -> None:
    """Also when the first one was read long ago."""
    asked = talk.ask("echo")
    for _ in range(2):
        say(talk, {"request_id": asked.request_id, "status": "success"})
    await talk.answer(asked)
    with pytest.raises(Finding, match="expected one answer"):
        await talk.fence()


async def test_an_answer_without_id_must_be_unambiguous(talk: Talk) -> None:
    """With one open request it is clear whose it is; a complaint about nonsense is nobody's."""
    asked = talk.ask("echo")
    say(talk, {"status": "success", "result": 1})
    expect_success(await talk.answer(asked), 1)
    both = [talk.ask("echo"), talk.ask("echo")]
    talk.provoke(b"{")
    say(talk, {"status": "error", "error": {"message": "what?"}})
    say(talk, {"status": "success"})
    with pytest.raises(Finding, match="open requests only"):
        await talk.answer(both[0])
    assert len(talk.complaints) == 1


async def test_a_hello_comes_first_or_never(talk: Talk) -> None:
    """The first message may be one, no other."""
    say(talk, {"runtime": "x"}, "hello")
    asked = talk.ask("echo")
    say(talk, {"request_id": asked.request_id, "status": "success"})
    await talk.answer(asked)
    assert talk.hello == {"runtime": "x"}
    say(talk, {"runtime": "x"}, "hello")
    with pytest.raises(Finding, match="first message only"):
        await talk.fence()


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"{}", b'{"type": "x", "payload": {}}', b"[" * 100_000])
async def test_what_is_no_message_is_found(talk: Talk, body: bytes) -> None:
    """It is shown, shortened."""
    talk.link.data_received(talk.link.framed(body))
    with pytest.raises(Finding, match="expected"):
        await talk.fence()


async def test_the_end_of_the_connection_is_found(talk: Talk) -> None:
    """As what it is."""
    asked = talk.ask("echo")
    talk.link.eof_received()
    assert await talk.answer_or_end(asked) is None
    with pytest.raises(Finding, match="closed the connection"):
        await talk.answer(asked)


def test_expectations() -> None:
    """What is compared is shown."""
    with pytest.raises(Finding, match="expected success with 1"):
        expect_success({"status": "success", "result": 2}, 1)
    for answer in ({"status": "success"}, {"status": "error"}, {"status": "error", "error": {"message": 5}}):
        with pytest.raises(Finding):
            expect_error(answer)
    wrong = {"status": "error", "error": {"message": "a", "type": "b"}}
    for kind, message in (("c", None), (None, "d")):
        with pytest.raises(Finding):
            expect_error(wrong, kind, message)
    expect_error(wrong, "b", "a")
    assert shown("x" * 1000).endswith("characters)")
    assert later(0).endswith("Z")
