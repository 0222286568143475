"""Processes for suspects: real ones, up while they are used, and never shared."""

from pathlib import Path

import pytest

from rrq_orchestrator.runners import LostCause
from support.runner_pools import bench, fake_command, is_gone, make_request, place

pytestmark = pytest.mark.anyio


async def test_there_is_room_for_as_many_as_there_are_places() -> None:
    """Whether they are up or can come up, as long as they are empty. None once they cannot be had."""
    async with bench({"suspect_processes": 2}) as pool:
        isolation = pool.runner.isolation
        assert isolation is not None
        assert isolation.room == 2
        assert isolation.open(1)
        assert isolation.room == 2
        await pool.recorder.until(lambda: isolation.free == 1)
        assert isolation.room == 2
        isolation.submit(make_request("held", "hold"))
        assert (isolation.free, isolation.room) == (0, 1)
        assert isolation.open(5)
        await pool.recorder.until(lambda: isolation.free == 1)
        isolation.submit(make_request("held too", "hold"))
        assert isolation.room == 0
        await pool.runner.stop()
        assert isolation.room is None


async def test_as_many_processes_are_started_as_are_wanted() -> None:
    """Those that are up and empty or coming up count; none stands beside them that nobody waits for."""
    async with bench({"suspect_processes": 4}) as pool:
        await pool.ready()
        isolation = pool.runner.isolation
        assert isolation is not None
        for _ in range(3):
            assert isolation.open(2)
        await pool.recorder.until(lambda: isolation.free == 2)
        assert isolation.open(2)
        assert pool.runner.processes == 1 + 2
        isolation.submit(make_request("held", "hold"))
        assert isolation.open(1)
        assert pool.runner.processes == 1 + 2
        assert isolation.open(2)
        await pool.recorder.until(lambda: isolation.free == 2)
        assert pool.runner.processes == 1 + 3


async def test_a_pool_of_few_has_few_places() -> None:
    """Twice as many as it has processes, four at most, unless the settings say otherwise: who runs a single
    process may have memory for few.
    """
    for config, places in (({"pool_size": 1}, 2), ({"pool_size": 3}, 4), ({"suspect_processes": 7}, 7)):
        async with bench(config) as pool:
            assert pool.runner.isolation is not None
            assert pool.runner.isolation.room == places


async def test_a_suspect_runs_in_a_process_of_its_own() -> None:
    """It takes no slot of the ordinary pool, shares its process with nobody, and is answered, cancelled and
    counted like any other."""
    async with place() as (pool, isolation):
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
    async with place() as (pool, isolation):
        pool.submit("innocent", "hold")
        isolation.submit(make_request("poison", "kill"))
        cause, detail = await pool.loss("poison")
        assert (cause, set(pool.recorder.losses)) == (LostCause.CRASHED, {"poison"})
        assert "SIGKILL" in detail
        await pool.recorder.until(lambda: isolation.free == 1)
        pool.runner.cancel("innocent", "job-innocent")
        await pool.recorder.until(lambda: "innocent" in pool.recorder.outcomes)


async def test_an_unresponsive_suspect_is_replaced() -> None:
    """A quarantine reaches the process, whichever pool it is of."""
    async with place() as (pool, isolation):
        isolation.submit(make_request("stuck", "block"))
        stuck = pool.runner.pids()[-1]
        pool.runner.quarantine("stuck")
        await pool.recorder.until(lambda: is_gone(stuck) and isolation.free == 1)
        assert pool.recorder.losses == {}


@pytest.mark.parametrize("config", [{"max_in_flight": 1}, {"mode": "external", "tcp_socket": "127.0.0.1:1"}])
async def test_no_places_where_they_make_no_sense(config: dict[str, object]) -> None:
    """In a process with one slot everybody is alone; external processes are not ours to start."""
    async with bench(config) as pool:
        assert pool.runner.isolation is None


async def test_configured_ports_stay_with_the_ordinary_pool() -> None:
    """On TCP the places take any free port, so that they cannot collide with the pool's own."""
    async with place(cmd=fake_command("serve"), tcp_socket="127.0.0.1:0") as (pool, isolation):
        isolation.submit(make_request("alone"))
        await pool.recorder.until(lambda: "alone" in pool.recorder.outcomes)


async def test_stop_ends_both_pools_in_order() -> None:
    """Both get SIGTERM and their grace; nothing is left, and nothing opens again."""
    async with place() as (pool, isolation):
        pids = pool.runner.pids()
        await pool.runner.stop()
        assert all(is_gone(pid) for pid in pids)
        assert not isolation.open(1)


async def test_places_that_do_not_come_up_say_so(tmp_path: Path) -> None:
    """A suspect is not kept waiting for a process that cannot start."""
    once = ("/bin/sh", "-c", f'mkdir {tmp_path}/once && exec "$@"', "sh", *fake_command())
    async with bench({"cmd": once}) as pool:
        await pool.ready()
        isolation = pool.runner.isolation
        assert isolation is not None
        assert isolation.open(1)
        await pool.recorder.until(lambda: not isolation.open(1))
        assert await pool.result("ordinary", x=1) == {"x": 1}
