"""Requests and answers over one connection: every answer belongs to a request, and is its only one."""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rrq_orchestrator.conformance.link import Link
from rrq_orchestrator.conformance.verdict import Finding
from rrq_protocol import PROTOCOL_VERSION, OutcomeStatus

__all__ = ["Asked", "Talk", "expect_error", "expect_success", "later", "shown"]

_STATUSES: Final = frozenset(str(status) for status in OutcomeStatus)
_ENQUEUED: Final = "2026-01-31T12:00:00Z"
_SHOWN_CHARS: Final = 200
_numbers = itertools.count(1)

Message = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as it was sent.

    Attributes:
        body: The whole message, not framed.
    """

    request_id: str
    job_id: str
    body: bytes


def shown(value: object) -> str:
    """Return a value as short JSON, for a finding."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text)} characters)"


class Talk:
    """See the module.

    Args:
        link: The connection.
        patience_s: Longest wait for an answer.

    Attributes:
        hello: The introduction, if one came.
        complaints: Errors that name no request, in answer to what nobody could read.
        provoked: Whether something was sent that nobody can read, so that complaints are no surprise.
    """

    def __init__(self, link: Link, patience_s: float) -> None:
        self.link, self.patience_s = link, patience_s
        self.hello: Message | None = None
        self.complaints: list[Message] = []
        self.provoked = False
        self._open: dict[str, str] = {}
        self._over: set[str] = set()
        self._answers: dict[str, Message] = {}
        self._order: list[str] = []
        self._heard = False

    @property
    def idle(self) -> bool:
        """Whether nothing is open, and the connection can go on."""
        return not self._open and not self.link.ended

    def is_open(self, asked: Asked) -> bool:
        """Whether a request has no answer yet, as far as was read."""
        return asked.request_id in self._open

    @property
    def order(self) -> list[str]:
        """The request ids, in the order of their answers."""
        return list(self._order)

    def request(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
        job_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Asked:
        """Return a request and expect its answer; it is still to be sent."""
        number = next(_numbers)
        request_id, job_id = request_id or f"request-{number}", job_id or f"job-{number}"
        payload = {
            "protocol_version": PROTOCOL_VERSION,
            "request_id": request_id,
            "job_id": job_id,
            "function_name": name,
            "params": dict(params or {}),
            "context": {
                "job_id": job_id,
                "attempt": 1,
                "enqueue_time": _ENQUEUED,
                "queue_name": "conformance",
                **(context or {}),
            },
            **fields,
        }
        body = _encoded({"type": "request", "payload": payload})
        self._open[request_id] = job_id
        return Asked(request_id, job_id, body)

    def ask(self, name: str, params: Mapping[str, Any] | None = None, **more: Any) -> Asked:
        """Send a request."""
        asked = self.request(name, params, **more)
        self.link.send_body(asked.body)
        return asked

    def cancel(self, asked: Asked, *, whole_job: bool = False) -> None:
        """Ask for an early end of a request, or of every request of its job."""
        payload = {"protocol_version": PROTOCOL_VERSION, "job_id": asked.job_id, "hard_kill": False}
        if not whole_job:
            payload["request_id"] = asked.request_id
        self.link.send_body(_encoded({"type": "cancel", "payload": payload}))

    def provoke(self, body: bytes) -> None:
        """Send a body nobody can be expected to understand."""
        self.provoked = True
        self.link.send_body(body)

    async def answer(self, asked: Asked, *, within_s: float | None = None) -> Message:
        """Return the answer to a request.

        Raises:
            Finding: The connection ended, nothing came in time, or what came is no answer.
        """
        found = await self.answer_or_end(asked, within_s=within_s)
        if found is None:
            raise Finding(f"expected an answer to {asked.request_id}, the runner closed the connection")
        return found

    async def answer_or_end(self, asked: Asked, *, within_s: float | None = None) -> Message | None:
        """Return the answer to a request, None at the end of the connection."""
        give_up = time.monotonic() + (self.patience_s if within_s is None else within_s)
        while asked.request_id not in self._answers:
            remaining = give_up - time.monotonic()
            if remaining <= 0 or not await self._hear(remaining):
                if remaining > 0:
                    return None
                raise Finding(f"expected an answer to {asked.request_id}, none came")
        return self._answers[asked.request_id]

    async def call(self, name: str, params: Mapping[str, Any] | None = None, **more: Any) -> Message:
        """Send a request and return its answer."""
        return await self.answer(self.ask(name, params, **more))

    async def fence(self) -> None:
        """Make sure that nothing else was said: an ``echo`` is answered, and by the next message.

        Raises:
            Finding: Something came that answers nothing.
        """
        expect_success(await self.call("echo", {"fence": 1}), {"fence": 1})

    async def first_message(self, within_s: float) -> bool:
        """Wait for one message of whatever kind. Return False if none comes."""
        try:
            return await self._hear(within_s)
        except Finding:
            if self.link.received:
                raise
            return False

    async def _hear(self, within_s: float) -> bool:
        body = await self.link.body(within_s)
        if body is None:
            return False
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            raise Finding(
                f"expected a message in UTF-8 JSON, got {shown(body[:80].decode('latin-1'))}"
            ) from None
        first, self._heard = not self._heard, True
        if not isinstance(message, dict) or not isinstance(message.get("payload"), dict):
            raise Finding(f'expected {{"type": …, "payload": {{…}}}}, got {shown(message)}')
        if message.get("type") == "hello":
            if not first:
                raise Finding("expected a hello as the first message only, got one later")
            self.hello = message["payload"]
        elif message.get("type") == "response":
            self._match(message["payload"])
        else:
            raise Finding(f"expected a message of type response, got {shown(message.get('type'))}")
        return True

    def _match(self, payload: Message) -> None:
        if payload.get("status") not in _STATUSES:
            raise Finding(f"status: expected one of {', '.join(sorted(_STATUSES))}, got {shown(payload)}")
        request_id = payload.get("request_id")
        if request_id is None and self.provoked and payload["status"] == "error":
            self.complaints.append(payload)
            return
        if request_id is None and len(self._open) == 1:
            (request_id,) = self._open
        if request_id in self._over:
            raise Finding(f"expected one answer to {shown(request_id)}, got another: {shown(payload)}")
        if request_id not in self._open:
            raise Finding(f"expected answers to open requests only, got {shown(payload)}")
        expected = self._open.pop(request_id)
        if payload.get("job_id") not in (None, expected):
            raise Finding(f"job_id: expected {shown(expected)}, got {shown(payload['job_id'])}")
        self._over.add(request_id)
        self._answers[request_id] = payload
        self._order.append(request_id)


def _encoded(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def later(seconds: float) -> str:
    """Return the instant so many seconds from now, as it stands in a message."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat().replace("+00:00", "Z")


def expect_success(answer: Message, result: Any) -> None:
    """Check that an answer says success with this result.

    Raises:
        Finding: It does not.
    """
    if answer.get("status") != "success" or answer.get("result") != result:
        raise Finding(f"expected success with {shown(result)}, got {shown(answer)}")


def expect_error(answer: Message, kind: str | None = None, message: str | None = None) -> None:
    """Check that an answer says error, of a type or with a message.

    Raises:
        Finding: It does not.
    """
    error = answer.get("error")
    if answer.get("status") != "error" or not isinstance(error, dict):
        raise Finding(f"expected status error with an error object, got {shown(answer)}")
    if not isinstance(error.get("message"), str):
        raise Finding(f"error.message: expected text, got {shown(error)}")
    if kind is not None and error.get("type") != kind:
        raise Finding(f"error.type: expected {kind!r}, got {shown(answer)}")
    if message is not None and message not in error["message"]:
        raise Finding(f"error.message: expected {message!r} in it, got {shown(answer)}")
