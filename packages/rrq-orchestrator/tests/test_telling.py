"""What the log says of attempts: those that ended without success, and to a developer each one."""

import pytest
import structlog

from rrq_orchestrator.telling import Narrator
from rrq_protocol import Job
from rrq_protocol.transitions import ClaimRequest, claim
from support.orchestrating import Bench, succeeded

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("fenced", "event"), [(True, "job.given_up"), (False, "job.released")])
async def test_only_what_is_given_back_is_called_released(bench: Bench, fenced: bool, event: str) -> None:
    """An orchestrator whose jobs were taken away says that it gave them up; at a shutdown it gives them
    back.
    """
    await bench.register("o1")
    await bench.enqueue(Job("work"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    with structlog.testing.capture_logs() as logged:
        bench.dispatcher._log = structlog.get_logger()
        bench.dispatcher.dispatch(reply.jobs, "o1")
        await bench.runner.requests(1)
        if fenced:
            bench.dispatcher.disown_all()
        bench.dispatcher.forget_all()
        await bench.dispatcher.drained()
        await bench.settled()
    (told,) = (each for each in logged if each["event"].startswith("job."))
    assert told["event"] == event
    assert told["reason"] == (
        "Redis does not know its orchestrator any more" if fenced else "its orchestrator stopped"
    )


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (b'"Hello, Ann"', {"result": "Hello, Ann"}),
        (b'{"sent": [1, 2]}', {"result": {"sent": [1, 2]}}),
        (b"null", {}),
        (b'"' + "é".encode() * 500 + b'"', {"result": "é" * 29 + "… (1,002 bytes)"}),
        (b'["never ends', {"result": b'["never ends'}),
    ],
)
async def test_a_developer_is_told_of_each_job(bench: Bench, result: bytes, told: object) -> None:
    """That it started, and what came of it: in short, as a value. Without a narrator nothing is said."""
    await bench.register("o1")
    await bench.enqueue(Job("work"), Job("work"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 2)], {}))
    with structlog.testing.capture_logs() as logged:
        bench.dispatcher.dispatch(reply.jobs[:1], "o1")
        (request,) = await bench.runner.requests(1)
        bench.runner.answer(succeeded(request, result))
        bench.dispatcher.narrator = Narrator(structlog.get_logger().info)
        bench.dispatcher.dispatch(reply.jobs[1:], "o1")
        (request,) = await bench.runner.requests(1)
        bench.runner.answer(succeeded(request, result))
        await bench.settled()
    started, completed = (each for each in logged if each["event"].startswith("job."))
    named = {"function": "work", "job_id": reply.jobs[1].id, "queue": "default", "log_level": "info"}
    assert started.pop("waited_s") >= 0
    assert started == {"event": "job.started", **named}
    assert completed.pop("took_s") >= 0
    assert completed == {"event": "job.completed", **named, **told}  # type: ignore[dict-item]
