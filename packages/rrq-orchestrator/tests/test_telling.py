"""What the log says of attempts that ended without success."""

import pytest
import structlog

from rrq_protocol import Job
from rrq_protocol.transitions import ClaimRequest, claim
from support.orchestrating import Bench

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
    assert [each["event"] for each in logged if each["event"].startswith("job.")] == [event]
