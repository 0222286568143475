"""Pools on fixed TCP ports, one per slot."""

import pytest

from support.runner_pools import bench, neighbouring_ports

pytestmark = pytest.mark.anyio


async def test_fixed_ports_are_per_slot_and_replacements_come_back_to_them() -> None:
    """Slots listen on consecutive ports from the configured one. A replacement beside its predecessor takes
    a free one; when the slot's own is free, it is replaced by one there, and nothing is lost over it.
    """
    port = neighbouring_ports()
    async with bench({"tcp_port": port}, worker_shutdown_grace_period_seconds=30) as pool:
        await pool.ready()
        facts = await pool.result("r1", "environment")
        assert facts["env"]["RRQ_RUNNER_TCP_SOCKET"] == f"127.0.0.1:{port}"
        pool.submit("stuck", "hold")
        pool.submit("good", "hold")
        pool.runner.quarantine("stuck")
        await pool.recorder.until(lambda: pool.runner.free == 8)
        facts = await pool.result("r2", "environment")
        assert facts["env"]["RRQ_RUNNER_TCP_SOCKET"] != f"127.0.0.1:{port}"
        pool.submit("meanwhile", "hold")
        pool.runner.cancel("good", "job-good")
        await pool.recorder.until(lambda: len(pool.events("runner.started")) == 3)
        facts = await pool.result("r3", "environment")
        assert facts["env"]["RRQ_RUNNER_TCP_SOCKET"] == f"127.0.0.1:{port}"
        pool.runner.cancel("meanwhile", "job-meanwhile")
        await pool.ready()
        assert pool.recorder.losses == {}
        assert len(pool.events("runner.started")) == 3


async def test_a_rolling_restart_ends_on_the_fixed_ports() -> None:
    """As SIGHUP asks for: every slot is on its own port again in the end, with a new process."""
    port, pool_size = neighbouring_ports(), 2
    async with bench({"tcp_socket": f"127.0.0.1:{port}", "pool_size": pool_size, "max_in_flight": 1}) as pool:
        await pool.recorder.until(lambda: pool.runner.free == pool_size)
        before = set(pool.runner.pids())
        pool.runner.recycle()
        await pool.recorder.until(lambda: len(pool.events("runner.started")) == 3 * pool_size)
        await pool.ready(pool_size)
        assert before.isdisjoint(pool.runner.pids())
        for number in range(pool_size):
            pool.submit(f"r{number}", "environment")
        await pool.recorder.until(lambda: len(pool.recorder.outcomes) == pool_size)
        used = {
            pool.recorder.result(f"r{number}")["env"]["RRQ_RUNNER_TCP_SOCKET"] for number in range(pool_size)
        }
        assert used == {f"127.0.0.1:{port + number}" for number in range(pool_size)}
