"""The table of checks, in the order they run: what others need first, what ends the process last."""

from typing import Final

from rrq_orchestrator.conformance.checks import _answers, _cancelling, _connections, _endings, _framing
from rrq_orchestrator.conformance.verdict import SOCKETS, STDIO, Check, Level

__all__ = ["CHECKS"]

_SHOULD = Level.SHOULD

CHECKS: Final = (
    Check("starts", "listens where it is told to, and answers", _connections.starts, needed=True),
    Check("hello", "introduces itself first and in full, if at all", _answers.hello),
    Check("echo", "returns JSON values unchanged", _answers.echo),
    Check("fail", "an error has its message", _answers.fail),
    Check("retry", "a retry has its delay, the context its attempt", _answers.retry),
    Check("sleep", "a handler may take its time", _answers.sleep),
    Check("unknown-handler", "no such handler: error of type handler_not_found", _answers.unknown_handler),
    Check("unknown-fields", "skips fields it does not know; null is absent", _answers.unknown_fields),
    Check("large", "takes and returns messages of 4 MiB", _answers.large),
    Check("matching", "of 50 requests at once, each has one answer, its own", _answers.matching),
    Check("concurrency", "a slow request does not hold up the next", _answers.concurrency),
    Check("split", "a message may come in parts, cut anywhere", _framing.split),
    Check("joined", "several messages may come at once", _framing.joined),
    Check(
        "blank-lines", "blank lines and carriage returns are skipped", _framing.blank_lines, transports=STDIO
    ),
    Check("bad-json", "survives what is no JSON", _framing.bad_json),
    Check("wrong-envelope", "survives JSON that is no message", _framing.wrong_envelope),
    Check("half-readable", "answers a request it cannot understand, or hangs up", _framing.half_readable),
    Check("neighbours", "a bad message costs its neighbours nothing", _framing.neighbours, level=_SHOULD),
    Check("wrong-version", "refuses a protocol version it does not speak", _framing.wrong_version),
    Check("oversized", "hangs up on a frame over 16 MiB", _framing.oversized, transports=SOCKETS),
    Check("empty-frame", "survives a frame of no bytes", _framing.empty, transports=SOCKETS),
    Check(
        "half-frame",
        "survives a connection that ends within a frame",
        _framing.half_frame,
        transports=SOCKETS,
    ),
    Check("cancel", "ends one request early, with one answer: cancelled", _cancelling.cancel),
    Check("cancel-job", "without request_id: every request of the job", _cancelling.cancel_job),
    Check("cancel-late", "for a request that is over, a cancel does nothing", _cancelling.cancel_late),
    Check("cancel-twice", "a repeated cancel is the same cancel", _cancelling.cancel_twice),
    Check(
        "cancel-foreign",
        "a cancel is for its own connection",
        _cancelling.cancel_foreign,
        level=_SHOULD,
        transports=SOCKETS,
    ),
    Check("deadline", "cancelled at its deadline: one answer", _answers.deadline),
    Check(
        "reconnect",
        "serves the next connection after one was lost",
        _connections.reconnect,
        transports=SOCKETS,
    ),
    Check("second", "serves two connections at a time", _connections.second, transports=SOCKETS),
    Check(
        "loopback",
        "listens on this machine's own address only",
        _connections.loopback,
        transports=frozenset({"tcp"}),
    ),
    Check(
        "nonce",
        "asks who connects, and shows who it is",
        _connections.nonce,
        level=_SHOULD,
        transports=frozenset({"tcp"}),
    ),
    Check("crash", "a handler may end the process; nothing is answered", _answers.crash),
    Check("no-hello", "says nothing unasked where hello was not offered", _answers.no_hello),
    Check("shutdown", "idle: SIGTERM ends it within its grace", _endings.shutdown),
    Check("shutdown-busy", "busy: SIGTERM ends it within its grace", _endings.shutdown_slow),
    Check("drain", "answers open requests after SIGTERM", _endings.drain, level=_SHOULD),
    Check("stdin-end", "the end of stdin ends it", _endings.stdin_end, transports=STDIO),
)
