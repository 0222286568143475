"""Processes for suspects: real ones, up while they are used, and never shared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rrq_orchestrator.runners import LostCause
from rrq_orchestrator.runners.base import Isolation
from rrq_orchestrator.runners.isolation import IsolatingRunner, OnDemandPool
from support.runner_pools import Bench, bench, fake_command, is_gone, make_request

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(linger_s: float = 60.0, **config: object) -> AsyncIterator[tuple[Bench, Isolation]]:
    """Run a pool, and bring its places for suspects up."""
    async with bench(config) as pool:
        await pool.ready()
        assert isinstance(pool.runner, IsolatingRunner)
        isolation = pool.runner.isolation
        assert isinstance(isolation, OnDemandPool)
        isolation.linger_s = linger_s
        assert isolation.free == 0
        assert isolation.open()
        await pool.recorder.until(lambda: isolation.free == 1)
        yield pool, isolation


async def test_there_is_room_for_as_many_as_there_are_places() -> None:
    """All of them before they are up, for then they soon will be; those that are free from then on. None
    once they cannot be had.
    """
    async with bench({"pool_size": 2}) as pool:
        isolation = pool.runner.isolation
        assert isolation is not None
        assert isolation.room == 2
        assert isolation.open()
        assert isolation.room == 2
        await pool.recorder.until(lambda: isolation.free == 2)
        isolation.submit(make_request("held", "hold"))
        assert isolation.room == 1
        await pool.runner.stop()
        assert isolation.room is None


async def test_a_suspect_runs_in_a_process_of_its_own() -> None:
    """It takes no slot of the ordinary pool, shares its process with nobody, and is answered, cancelled and
    counted like any other."""
    async with opened() as (pool, isolation):
        (ordinary,) = pool.runner.pids()[:1]
        assert (await pool.result("r", "environment"))["pid"] == ordinary
        isolation.submit(make_request("alone", "environment"))
        await pool.recorder.until(lambda: "alone" in pool.recorder.outcomes)
        pid = pool.recorder.result("alone")["pid"]
        assert pid != ordinary
        assert sorted(pool.runner.pids()) == sorted([ordinary, pid])
        isolation.submit(make_request("held", "hold"))
        assert (isolation.free, pool.runner.free) == (0, 8)
        pool.runner.cancel("held", "job-held")
        await pool.recorder.until(lambda: "held" in pool.recorder.outcomes)
        await pool.recorder.until(lambda: isolation.free == 1)


async def test_a_culprit_dies_alone() -> None:
    """What kills its process there takes nobody along, and the place comes up again."""
    async with opened() as (pool, isolation):
        pool.submit("innocent", "hold")
        isolation.submit(make_request("poison", "kill"))
        cause, detail = await pool.loss("poison")
        assert (cause, set(pool.recorder.losses)) == (LostCause.CRASHED, {"poison"})
        assert "SIGKILL" in detail
        await pool.recorder.until(lambda: isolation.free == 1)
        pool.runner.cancel("innocent", "job-innocent")
        await pool.recorder.until(lambda: "innocent" in pool.recorder.outcomes)


async def test_every_restart_is_counted_and_every_process_wanted() -> None:
    """Also of those for suspects; as many are wanted as there are."""
    async with opened() as (pool, isolation):
        assert (pool.runner.processes, len(pool.runner.pids())) == (2, 2)
        for number in (1, 2):
            isolation.submit(make_request(f"poison{number}", "kill"))
            await pool.loss(f"poison{number}")
            await pool.recorder.until(lambda: isolation.free == 1)
            assert pool.runner.history.restarts == number


async def test_an_unresponsive_suspect_is_replaced() -> None:
    """A quarantine reaches the process, whichever pool it is of."""
    async with opened() as (pool, isolation):
        isolation.submit(make_request("stuck", "block"))
        stuck = pool.runner.pids()[-1]
        pool.runner.quarantine("stuck")
        await pool.recorder.until(lambda: is_gone(stuck) and isolation.free == 1)
        assert pool.recorder.losses == {}


async def test_unused_places_go_and_come_again() -> None:
    """No process is kept for suspects there are none of; the next one brings it up again."""
    async with opened(linger_s=0.2) as (pool, isolation):
        await pool.recorder.until(lambda: len(pool.runner.pids()) == 1)
        await pool.recorder.until(lambda: isolation.free == 0)
        assert isolation.open()
        await pool.recorder.until(lambda: isolation.free == 1)
        isolation.submit(make_request("again"))
        await pool.recorder.until(lambda: "again" in pool.recorder.outcomes)


async def test_work_in_hand_keeps_the_process_up() -> None:
    """A long attempt is no absence of use."""
    async with opened(linger_s=0.2) as (pool, isolation):
        isolation.submit(make_request("held", "hold"))
        await pool.recorder.until(lambda: len(pool.runner.pids()) == 2)
        pid = pool.runner.pids()[-1]
        for number in range(20):
            await pool.result(f"r{number}")
        assert not is_gone(pid)
        pool.runner.cancel("held", "job-held")
        await pool.recorder.until(lambda: is_gone(pid))


@pytest.mark.parametrize("config", [{"max_in_flight": 1}, {"mode": "external", "tcp_socket": "127.0.0.1:1"}])
async def test_no_places_where_they_make_no_sense(config: dict[str, object]) -> None:
    """In a process with one slot everybody is alone; external processes are not ours to start."""
    async with bench(config) as pool:
        assert pool.runner.isolation is None


async def test_configured_ports_stay_with_the_ordinary_pool() -> None:
    """On TCP the places take any free port, so that they cannot collide with the pool's own."""
    async with opened(cmd=fake_command("serve"), tcp_socket="127.0.0.1:0") as (pool, isolation):
        isolation.submit(make_request("alone"))
        await pool.recorder.until(lambda: "alone" in pool.recorder.outcomes)


async def test_stop_ends_both_pools_in_order() -> None:
    """Both get SIGTERM and their grace; nothing is left, and nothing opens again."""
    async with opened() as (pool, isolation):
        pids = pool.runner.pids()
        await pool.runner.stop()
        assert all(is_gone(pid) for pid in pids)
        assert not isolation.open()


async def test_places_that_do_not_come_up_say_so(tmp_path: Path) -> None:
    """A suspect is not kept waiting for a process that cannot start."""
    once = ("/bin/sh", "-c", f'mkdir {tmp_path}/once && exec "$@"', "sh", *fake_command())
    async with bench({"cmd": once}) as pool:
        await pool.ready()
        isolation = pool.runner.isolation
        assert isolation is not None
        assert isolation.open()
        await pool.recorder.until(lambda: not isolation.open())
        assert await pool.result("ordinary", x=1) == {"x": 1}
