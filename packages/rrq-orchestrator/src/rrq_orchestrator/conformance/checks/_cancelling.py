"""Cancels: whom they end, and whom not."""

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.talk import Asked, Talk, expect_error
from rrq_orchestrator.conformance.verdict import Finding


async def cancel(bench: Bench) -> str | None:
    """One request of several is ended early, and answered once."""
    talk = await bench.talk()
    first, second = (talk.ask("sleep", {"seconds": 600}) for _ in range(2))
    talk.cancel(first)
    expect_error(await talk.answer(first), "cancelled")
    await _still_open(talk, second)
    talk.cancel(second)
    expect_error(await talk.answer(second), "cancelled")
    await talk.fence()
    return None


async def cancel_job(bench: Bench) -> str | None:
    """Without a request id every request of the job ends, and no other."""
    talk = await bench.talk()
    both = [talk.ask("sleep", {"seconds": 600}, job_id="the-same-job") for _ in range(2)]
    other = talk.ask("sleep", {"seconds": 600})
    talk.cancel(both[0], whole_job=True)
    for each in both:
        expect_error(await talk.answer(each), "cancelled")
    await _still_open(talk, other)
    talk.cancel(other)
    expect_error(await talk.answer(other), "cancelled")
    return None


async def cancel_late(bench: Bench) -> str | None:
    """A cancel of a request that is over, or never was, changes nothing and is not answered."""
    talk = await bench.talk()
    over = talk.ask("echo")
    await talk.answer(over)
    talk.cancel(over)
    talk.cancel(over, whole_job=True)
    talk.cancel(Asked("nobody", "nothing", b""))
    await talk.fence()
    return None


async def cancel_twice(bench: Bench) -> str | None:
    """A repeated cancel is the same cancel."""
    talk = await bench.talk()
    slow = talk.ask("sleep", {"seconds": 600})
    talk.cancel(slow)
    talk.cancel(slow)
    expect_error(await talk.answer(slow), "cancelled")
    await talk.fence()
    return None


async def cancel_foreign(bench: Bench) -> str | None:
    """A cancel concerns requests of its own connection only."""
    ours, theirs = await bench.talk(), await bench.talk()
    slow = ours.ask("sleep", {"seconds": 600}, request_id="shared", job_id="shared")
    await ours.fence()
    theirs.cancel(slow)
    theirs.cancel(slow, whole_job=True)
    await theirs.fence()
    await _still_open(ours, slow)
    ours.cancel(slow)
    expect_error(await ours.answer(slow), "cancelled")
    return None


async def _still_open(talk: Talk, asked: Asked) -> None:
    await talk.fence()
    if not talk.is_open(asked):
        raise Finding(f"expected {asked.request_id} to go on, it was answered: the cancel was for another")
