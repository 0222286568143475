"""Runner processes come up when they are needed and go when they are not fit."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.verdict import Finding, Kind
from support import fake_runner
from support.processes import wait_until_gone

pytestmark = pytest.mark.anyio
FAULTY = Path(fake_runner.__file__).with_name("faulty_runner.py")


@pytest.fixture(params=["unix", "tcp", "stdio"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Serve a bench for a runner without faults."""
    kind: Kind = request.param
    bench = Bench([sys.executable, "-S", str(FAULTY), "none"], kind, patience_s=30, grace_s=30)
    bench.begin()
    yield bench
    await bench.close()


async def test_a_process_serves_one_check_after_the_other(bench: Bench) -> None:
    """And is gone when the bench is closed."""
    for _ in range(2):
        bench.begin()
        await (await bench.talk()).fence()
        await bench.leave()
    pid = bench.pid or 0
    os.kill(pid, 0)
    await bench.close()
    wait_until_gone([pid])


async def test_within_a_check_the_process_has_to_go_on(bench: Bench) -> None:
    """Its end is found by whoever wants to talk again, unless it was to end."""
    talk = await bench.talk()
    talk.ask("crash", {"code": 5})
    assert await bench.ended(30) == 5
    assert await bench.postscript() == "; the process exited with code 5"
    with pytest.raises(Finding, match="expected the process to go on, it exited with code 5"):
        await bench.talk()
    await (await bench.talk(again=True)).fence()


async def test_another_offer_takes_another_process(bench: Bench) -> None:
    """What is offered is told when a process starts."""
    await (await bench.talk()).fence()
    first = bench.pid
    await (await bench.talk(offering=False)).fence()
    assert bench.pid not in (None, first)


async def test_what_does_not_start_is_found() -> None:
    """With the reason; and what never listens, after the patience."""
    for command, text in (
        (["./no-such-program"], "command not found"),
        ([sys.executable, "-c", "import sys; sys.exit(4)"], "exited with code 4"),
    ):
        bench = Bench(command, "unix", patience_s=30, grace_s=1)
        with pytest.raises(Finding, match=text):
            await bench.talk()
        await bench.close()
    bench = Bench(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], "unix", patience_s=0.1, grace_s=1
    )
    with pytest.raises(Finding, match=r"does not listen within 0\.1 s"):
        await bench.talk()
    await bench.close()
