"""Version 1 of the runner protocol, as runners of the first 0.9 line speak it (RUNNER_PROTOCOL.md, end).

It differs in the request: ``args``, a list, and ``kwargs``, an object, stand in place of ``params``. A list
under ``params["args"]`` is what travels as ``args``; everything else is ``kwargs``.

On stdio the very first runners knew no envelope: a line was the request itself, and their answer is the
outcome itself, with the error's text and type in fields of its own. So a line says everything twice, in the
envelope and beside it, and either form of answer is understood.
"""

from typing import Annotated, Any, Final

import msgspec

from rrq_protocol.frames import Framing
from rrq_protocol.messages import (
    ABSENT,
    ExecutionError,
    ExecutionRequest,
    OutcomeStatus,
    WireContext,
    WireOutcome,
    WireRequest,
)

__all__ = ["VERSION_ONE", "bare_outcome", "encode_request", "modern_request"]

VERSION_ONE: Final = "1"

_ARGS: Final = "args"
_NO_ARGS: Final = msgspec.Raw(b"[]")


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    protocol_version: str
    request_id: str
    job_id: str
    function_name: str
    args: msgspec.Raw
    kwargs: dict[str, msgspec.Raw]
    context: WireContext


class _Arguments(msgspec.Struct, frozen=True):
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class _Envelope(msgspec.Struct, frozen=True):
    payload: _Arguments


class _BareOutcome(msgspec.Struct, frozen=True, kw_only=True):
    status: OutcomeStatus
    job_id: str | None = None
    request_id: str | None = None
    result: msgspec.Raw = ABSENT
    error: ExecutionError | None = None
    error_message: str | None = None
    error_type: str | None = None
    retry_after_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None


_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_arguments = msgspec.json.Decoder(_Envelope).decode
_outcome = msgspec.json.Decoder(_BareOutcome).decode
_encode = msgspec.json.Encoder().encode


def encode_request(request: WireRequest, framing: Framing) -> bytes:
    """Return the body of a request of version 1.

    Raises:
        UnicodeEncodeError: A text in it holds a lone surrogate.
    """
    kwargs = _split(request.params)
    args = _NO_ARGS
    if bytes(kwargs.get(_ARGS, b"")).lstrip()[:1] == b"[":
        args = kwargs.pop(_ARGS)
    payload = _encode(
        _Request(
            protocol_version=VERSION_ONE,
            request_id=request.request_id,
            job_id=request.job_id,
            function_name=request.function_name,
            args=args,
            kwargs=kwargs,
            context=request.context,
        )
    )
    beside = b"," + payload[1:] if framing == "line" else b"}"
    return b'{"type":"request","payload":' + payload + beside


def modern_request(request: ExecutionRequest, body: bytes) -> ExecutionRequest:
    """Return a request of version 1 with ``params``, as handlers get them.

    Args:
        request: What could be read of it as a message of today.
        body: The message it came in.

    Raises:
        msgspec.ValidationError: ``args`` or ``kwargs`` are of a wrong type, or args are given twice.
    """
    given = _arguments(body).payload
    params = {**request.params, **given.kwargs}
    if given.args:
        if _ARGS in params:
            raise msgspec.ValidationError("`args` is given twice, by itself and in `kwargs`")
        params[_ARGS] = given.args
    return msgspec.structs.replace(request, params=params)


def bare_outcome(body: bytes) -> WireOutcome:
    """Return the outcome a runner sent without an envelope.

    Raises:
        msgspec.DecodeError: It is none.
    """
    bare = _outcome(body)
    error = bare.error
    if error is None and (bare.error_message is not None or bare.error_type is not None):
        error = ExecutionError(bare.error_message or "", bare.error_type)
    return WireOutcome(
        job_id=bare.job_id,
        request_id=bare.request_id,
        status=bare.status,
        result=bare.result,
        error=error,
        retry_after_seconds=bare.retry_after_seconds,
    )
