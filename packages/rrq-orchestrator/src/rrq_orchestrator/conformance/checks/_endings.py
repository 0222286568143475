"""How a runner ends when it is asked to."""

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.talk import shown
from rrq_orchestrator.conformance.verdict import Finding


async def shutdown(bench: Bench) -> str | None:
    """SIGTERM ends an idle process within its grace."""
    talk = await bench.talk()
    await talk.fence()
    bench.terminate()
    await bench.ended(bench.grace_s)
    return bench.how_it_ended()


async def shutdown_slow(bench: Bench) -> str | None:
    """SIGTERM ends a process within its grace whatever it is doing."""
    talk = await bench.talk()
    talk.ask("sleep", {"seconds": 600})
    await talk.fence()
    bench.terminate()
    await bench.ended(bench.grace_s)
    return bench.how_it_ended()


async def drain(bench: Bench) -> str | None:
    """After SIGTERM an open request still gets its answer."""
    talk = await bench.talk()
    asked = talk.ask("sleep", {"seconds": 0.5})
    await talk.fence()
    bench.terminate()
    answer = await talk.answer_or_end(asked, within_s=bench.grace_s)
    if answer is None:
        raise Finding(
            f"expected an answer to the open request, the process {bench.how_it_ended() or 'hung up'}"
        )
    await bench.ended(bench.grace_s)
    return None if answer["status"] == "success" else f"answered {shown(answer)}"


async def stdin_end(bench: Bench) -> str | None:
    """The end of stdin is the end of the process."""
    talk = await bench.talk()
    await talk.fence()
    talk.link.close_writing()
    await bench.ended(bench.grace_s)
    return bench.how_it_ended()
