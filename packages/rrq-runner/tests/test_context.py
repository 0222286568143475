"""What handlers are told about their attempt."""

from contextvars import copy_context
from datetime import UTC, datetime

import pytest

from rrq_runner.context import Context, current_context, enter_context
from support.runners import execution_request


def test_fields_and_items_say_the_same() -> None:
    """The item form of earlier versions reaches every field, the attempt as ``job_try``."""
    deadline = datetime(2030, 1, 1, tzinfo=UTC)
    request = execution_request("hello", attempt=3, deadline=deadline)
    ctx = Context(request, {"pool": "p"})
    assert (ctx.job_id, ctx["job_id"]) == (request.job_id, request.job_id)
    assert (ctx.attempt, ctx["job_try"], ctx["attempt"]) == (3, 3, 3)
    assert (ctx.deadline, ctx["deadline"]) == (deadline, deadline)
    assert ctx["enqueue_time"] == ctx.enqueue_time == request.context.enqueue_time
    assert (ctx.queue_name, ctx.function_name, ctx.request_id) == ("default", "hello", request.request_id)
    assert (ctx.trace_context, ctx.correlation_context, ctx.worker_id) == (None, None, None)


def test_items_reach_the_state() -> None:
    """What the start-up hooks left is found by key, and a missing key is an ordinary KeyError."""
    ctx = Context(execution_request(), {"pool": "p"})
    assert ctx["pool"] == ctx.get("pool") == ctx.state["pool"] == "p"
    assert "pool" in ctx
    assert "job_try" in ctx
    assert "other" not in ctx
    assert (ctx.get("other"), ctx.get("other", 1), ctx.get("job_try")) == (None, 1, 1)
    with pytest.raises(KeyError, match="other"):
        ctx["other"]


def test_cancelled_is_seen_once_marked() -> None:
    """A handler that polls learns that it should stop."""
    ctx = Context(execution_request(), {})
    before = ctx.cancelled
    ctx.mark_cancelled()
    assert (before, ctx.cancelled, ctx["cancelled"]) == (False, True, True)


def test_there_is_no_current_context_outside_of_a_handler() -> None:
    """Code that runs outside is told None; inside it finds the context."""
    ctx = Context(execution_request(), {})

    def inside() -> Context | None:
        enter_context(ctx)
        return current_context()

    assert copy_context().run(inside) is ctx
    assert current_context() is None
