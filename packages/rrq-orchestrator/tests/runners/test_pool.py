"""A pool of real processes: what is submitted comes back once, however the processes behave."""

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners import LostCause, NoCapacity
from rrq_orchestrator.runners.base import RunnerHistory
from rrq_orchestrator.runners.isolation import IsolatingRunner
from rrq_protocol import FrameTooLarge, WireOutcome
from support.runner_pools import PATIENCE_S, Recorder, bench, fake_command, is_gone, make_request

pytestmark = pytest.mark.anyio


async def test_answers_come_back_and_free_their_slots() -> None:
    """Every request gets its outcome, and afterwards all slots are free."""
    async with bench({"max_in_flight": 4, "pool_size": 2}) as pool:
        await pool.recorder.until(lambda: pool.runner.capacity == 8)
        for number in range(8):
            pool.submit(f"r{number}", number=number)
        assert pool.runner.free == 0
        await pool.recorder.until(lambda: len(pool.recorder.outcomes) == 8)
        assert [pool.recorder.result(f"r{number}") for number in range(8)] == [
            {"number": number} for number in range(8)
        ]
        assert pool.runner.free == pool.runner.capacity == 8


async def test_requests_spread_over_the_processes() -> None:
    """Requests go to the least loaded process."""
    async with bench({"max_in_flight": 4, "pool_size": 2}) as pool:
        await pool.recorder.until(lambda: pool.runner.capacity == 8)
        pids = {(await pool.result(f"r{number}", "environment"))["pid"] for number in range(4)}
        assert pids == set(pool.runner.pids())


async def test_submit_without_a_free_slot_is_refused() -> None:
    """A full pool, and one that is not up yet, raise NoCapacity and keep nothing."""
    async with bench({"max_in_flight": 1}) as pool:
        with pytest.raises(NoCapacity, match="fake"):
            pool.submit("early")
        await pool.ready()
        pool.submit("first", "hold")
        with pytest.raises(NoCapacity):
            pool.submit("second")
        pool.runner.cancel("first", "job-first")
        await pool.recorder.until(lambda: "first" in pool.recorder.outcomes)
        assert pool.runner.free == 1


async def test_an_oversized_request_is_refused_alone() -> None:
    """A request over the frame limit is not sent, holds no slot, and its neighbours complete (F64)."""
    async with bench() as pool:
        await pool.ready()
        pool.submit("held", "hold")
        with pytest.raises(FrameTooLarge):
            pool.submit("big", text="x" * (16 * 1024 * 1024))
        assert pool.runner.free == 7
        await pool.result("small", "free")
        assert set(pool.recorder.outcomes) == {"held", "small"}


@pytest.mark.parametrize("hard", [False, True])
async def test_cancel_asks_the_holder(hard: bool) -> None:
    """A cancel reaches the process that holds the request, and its answer is the outcome; strangers are
    ignored."""
    async with bench() as pool:
        await pool.ready()
        pool.submit("held", "hold")
        pool.runner.cancel("unknown", "job-unknown")
        pool.runner.cancel("held", "job-held", hard=hard)
        await pool.recorder.until(lambda: "held" in pool.recorder.outcomes)
        assert pool.recorder.result("held") == {"cancelled": True, "hard": hard}


@pytest.mark.parametrize(
    ("function", "params", "said"),
    [("exit", {"code": 0}, "code 0"), ("exit", {"code": 3}, "code 3"), ("kill", {}, "killed by SIGKILL")],
)
async def test_a_dying_process_loses_what_it_holds(function: str, params: dict[str, int], said: str) -> None:
    """All requests of a process that dies are lost, with how it died; the pool recovers by itself (F12,
    F13)."""
    async with bench() as pool:
        await pool.ready()
        for number in range(3):
            pool.submit(f"held{number}", "hold")
        pool.submit("poison", function, **params)
        cause, detail = await pool.loss("poison")
        assert cause is LostCause.CRASHED
        assert said in detail
        assert "4 in flight" in detail
        assert set(pool.recorder.losses) == {"held0", "held1", "held2", "poison"}
        await pool.recorder.until(lambda: pool.runner.free == 8)
        assert await pool.result("after", x=1) == {"x": 1}


@pytest.mark.parametrize("how", ["serve", "stubborn"])
async def test_a_process_that_hangs_up_is_ended_before_its_requests_are_lost(how: str) -> None:
    """It closed its connection and works on: its requests are called lost, and may start elsewhere, only
    when it is gone. One that ignores SIGTERM is killed soon, whatever the grace of a stop is.
    """
    config = {"cmd": fake_command(how)}
    async with bench(config, runner_shutdown_term_grace_seconds=PATIENCE_S) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        gone: list[bool] = []

        class Watching(Recorder):
            def lost(self, runner: str, request_ids: Sequence[str], cause: LostCause, detail: str) -> None:
                gone.append(is_gone(old))
                super().lost(runner, request_ids, cause, detail)

        pool.recorder.__class__ = Watching
        pool.submit("held", "hold")
        pool.submit("last", "hang_up")
        cause, detail = await pool.loss("held")
        assert gone == [True]
        assert cause is LostCause.CRASHED
        assert detail == "the runner process closed its connection with 2 in flight"
        assert set(pool.recorder.losses) == {"held", "last"}
        await pool.recorder.until(lambda: pool.runner.free == 8)
        assert await pool.result("after", x=1) == {"x": 1}


async def test_a_process_killed_idle_is_replaced() -> None:
    """A process killed from outside, without work, is replaced; no request is touched (F11)."""
    async with bench() as pool:
        await pool.ready()
        (pid,) = pool.runner.pids()
        os.kill(pid, signal.SIGKILL)
        await pool.recorder.until(lambda: pool.runner.pids() not in ([], [pid]) and pool.runner.free == 8)
        assert pool.recorder.losses == {}


async def test_an_answer_given_just_before_the_end_counts() -> None:
    """What a process said before it died is read, so that its job is not run again."""
    async with bench() as pool:
        await pool.ready()
        pool.submit("held", "hold")
        assert await pool.result("last", "answer_then_exit") is None
        cause, _ = await pool.loss("held")
        assert cause is LostCause.CRASHED


async def test_quarantine_replaces_first_and_drains_later() -> None:
    """A quarantined process gets a replacement at once; its neighbours have the grace; then its group
    ends."""
    async with bench({"max_in_flight": 2}, worker_shutdown_grace_period_seconds=30) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("stuck", "hold")
        pool.submit("good", "hold")
        pool.runner.quarantine("stuck")
        assert pool.runner.free == 0
        await pool.recorder.until(lambda: pool.runner.free == 2)
        assert old in pool.runner.pids()
        pool.submit("new", "hold")
        pool.runner.cancel("good", "job-good")
        await pool.recorder.until(lambda: "good" in pool.recorder.outcomes)
        await pool.recorder.until(lambda: is_gone(old))
        assert set(pool.recorder.outcomes) == {"good"}
        assert pool.recorder.losses == {}


async def test_quarantine_of_a_blocked_process_ends_it_after_the_grace() -> None:
    """Neighbours in a process that does nothing any more are lost as STOPPED, once it is gone, so that none
    is at work twice; the quarantined request is forgotten."""
    async with bench({"max_in_flight": 2}, worker_shutdown_grace_period_seconds=0.2) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("stuck", "block")
        pool.submit("innocent", "echo")
        pool.runner.quarantine("stuck")
        cause, detail = await pool.loss("innocent")
        assert cause is LostCause.STOPPED
        assert "replaced" in detail
        assert is_gone(old)
        assert set(pool.recorder.losses) == {"innocent"}
        assert pool.recorder.outcomes == {}


async def test_stop_ends_stubborn_processes_in_parallel() -> None:
    """Processes that ignore SIGTERM are killed after the grace, all at the same time; their work is lost as
    STOPPED."""
    async with bench(
        {"cmd": fake_command("stubborn"), "pool_size": 4}, runner_shutdown_term_grace_seconds=1
    ) as pool:
        await pool.recorder.until(lambda: pool.runner.capacity == 32)
        pids = pool.runner.pids()
        pool.submit("held", "hold")
        started = anyio.current_time()
        await pool.runner.stop()
        assert anyio.current_time() - started < 4 * 1
        assert all(map(is_gone, pids))
        assert pool.runner.state == "stopping"
        assert pool.recorder.losses["held"][0] is LostCause.STOPPED


async def test_stop_while_starting_leaves_nothing() -> None:
    """Stopping a pool whose process never listens ends the process (F18)."""
    async with bench({"cmd": fake_command("never-listens")}) as pool:
        await pool.recorder.until(pool.runner.pids)
        (pid,) = pool.runner.pids()
        await pool.runner.stop()
        assert is_gone(pid)


async def test_stop_before_run_and_twice() -> None:
    """Stopping is safe at any time; a stopped pool does not run."""
    async with bench() as pool:
        await pool.ready()
        await pool.runner.stop()
        await pool.runner.stop()
        await pool.runner.run()
        assert pool.runner.pids() == []


async def test_stop_removes_the_sockets(tmp_path: Path) -> None:
    """No socket file is left after a crash, a replacement and a stop."""
    folder = tmp_path / "sockets"
    async with bench({"socket_dir": str(folder)}) as pool:
        await pool.ready()
        assert len(list(folder.iterdir())) == 1
        assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
        pool.submit("poison", "exit", code=1)
        await pool.loss("poison")
        await pool.recorder.until(lambda: pool.runner.free == 8)
        await pool.runner.stop()
        assert list(folder.iterdir()) == []


async def test_max_jobs_recycles_without_losing_any() -> None:
    """A process is replaced after its jobs, and serves on until the new one answers (F82, F81)."""
    async with bench({"max_jobs": 3}) as pool:
        await pool.ready()
        pids: set[int] = set()
        with anyio.fail_after(PATIENCE_S):
            for number in itertools.count():
                pids.add((await pool.result(f"r{number}", "environment"))["pid"])
                if len(pids) > 1:
                    break
        assert pool.recorder.losses == {}
        assert pool.events("runner.recycled")[0]["reason"] == "max_jobs: 3"


async def test_recycle_keeps_capacity() -> None:
    """A rolling restart replaces each process while no moment is without capacity (F81)."""
    async with bench({"pool_size": 2}) as pool:
        await pool.recorder.until(lambda: pool.runner.capacity == 16)
        old = set(pool.runner.pids())
        assert isinstance(pool.runner, IsolatingRunner)
        pool.runner.recycle()
        number = 0
        while not old.isdisjoint(pool.runner.pids()):
            number += 1
            assert await pool.result(f"r{number}", number=number) == {"number": number}
        assert pool.recorder.losses == {}
        assert pool.runner.capacity == 16


async def test_recycle_reaches_a_process_that_is_coming_up() -> None:
    """It may have loaded what was there before; it serves until its successor answers (F81)."""
    async with bench() as pool:
        await pool.recorder.until(pool.runner.pids)
        (old,) = pool.runner.pids()
        pool.runner.recycle()
        assert pool.runner.capacity == 0
        await pool.recorder.until(lambda: is_gone(old) and pool.runner.free == 8)
        assert [event["reason"] for event in pool.events("runner.recycled")] == ["asked for"]


async def test_a_hello_may_ask_for_less() -> None:
    """A runner that wants fewer requests at a time than configured gets fewer."""
    async with bench({"cmd": fake_command("hello=2")}) as pool:
        await pool.recorder.until(lambda: pool.runner.capacity == 2)
        pool.submit("a", "hold")
        pool.submit("b", "hold")
        assert pool.runner.free == 0


@pytest.mark.parametrize("transport", [{"tcp_port": 0}, {"type": "stdio"}, {"tcp_socket": "localhost:0"}])
async def test_other_transports(transport: dict[str, object]) -> None:
    """TCP and stdio carry the same as the Unix socket."""
    async with bench(transport) as pool:
        await pool.ready()
        assert await pool.result("r1", x="ü\n") == {"x": "ü\n"}
        pool.submit("poison", "exit", code=9)
        cause, detail = await pool.loss("poison")
        assert cause is LostCause.CRASHED
        assert "code 9" in detail
        await pool.recorder.until(lambda: pool.runner.free == 8)
        assert await pool.result("r2") == {}


async def test_a_stdio_runner_may_print_by_mistake() -> None:
    """A line on stdout that is no message is reported, and harms nobody."""
    async with bench({"type": "stdio"}) as pool:
        await pool.ready()
        assert await pool.result("r1", "print", text="debugging\n", times=300) is None
        assert await pool.result("r2") == {}
        assert "malformed" in pool.events("runner.bad_message")[0]["problem"]
        assert pool.events("runner.bad_message")[0]["line"] == "debugging"


async def test_what_a_stdio_runner_printed_by_mistake_is_shown() -> None:
    """Its beginning, so that it can be found: nothing in it steers a terminal, and it is bounded."""
    async with bench({"type": "stdio"}) as pool:
        await pool.ready()
        assert await pool.result("r1", "print", text="\x1b[2J\u202e" + "x" * 100_000 + "\n") is None
        line = str(pool.events("runner.bad_message")[0]["line"])
        assert line.startswith("\\x1b[2J\\u202exxx")
        assert line.isprintable()
        assert len(line) < 300


async def test_an_external_runner_is_only_connected_to(tmp_path: Path) -> None:
    """In external mode nothing is started; when the runner comes and goes the pool follows."""
    path = tmp_path / "fake-0.sock"
    async with bench({"mode": "external", "socket_dir": str(tmp_path), "cmd": None}) as pool:
        await pool.recorder.until(lambda: pool.runner.state == "broken")
        with subprocess.Popen(  # noqa: ASYNC220  # it returns at once
            fake_command(), env={"RRQ_RUNNER_SOCKET": str(path)}
        ) as process:
            await pool.recorder.until(lambda: pool.runner.free == 8)
            assert await pool.result("r1", x=1) == {"x": 1}
            pool.submit("held", "hold")
            process.kill()
            cause, detail = await pool.loss("held")
        assert cause is LostCause.CRASHED
        assert "connection" in detail
        assert pool.runner.pids() == []
    assert path.exists()


async def test_callbacks_may_call_the_runner_back() -> None:
    """A request submitted from within a callback is served too: so a slot is filled again at once."""
    async with bench({"max_in_flight": 1}) as pool:
        await pool.ready()
        left = [make_request(f"r{number}") for number in range(50)]

        class Refilling(Recorder):
            def outcome(self, runner: str, outcome: WireOutcome) -> None:
                super().outcome(runner, outcome)
                if left:
                    pool.runner.submit(left.pop())

        pool.recorder.__class__ = Refilling
        pool.runner.submit(left.pop())
        await pool.recorder.until(lambda: len(pool.recorder.outcomes) == 50)


async def test_what_happened_to_it_is_remembered() -> None:
    """Restarts are counted; the latest trouble is kept in words, with when it was, also once it is over."""
    async with bench() as pool:
        await pool.ready()
        assert pool.runner.history == RunnerHistory()
        pool.submit("poison", "exit", code=3)
        await pool.loss("poison")
        await pool.ready()
        history = pool.runner.history
        assert history.restarts == 1
        assert history.last_error is not None
        assert "exited with code 3 with 1 in flight" in history.last_error
        assert abs((history.last_error_at_ms or 0) / 1000 - time.time()) < PATIENCE_S


async def test_a_start_that_fails_is_remembered_with_what_the_process_said() -> None:
    """The last line of its output is what a person needs: here, which module is missing."""
    async with bench({"cmd": fake_command("raise")}) as pool:
        await pool.recorder.until(lambda: pool.runner.state == "broken")
        assert pool.runner.history.last_error is not None
        assert pool.runner.history.last_error.endswith("ModuleNotFoundError: No module named 'nowhere'")
        assert pool.runner.history.restarts == 0
    async with bench({"cmd": ("no-such-program",)}) as pool:
        await pool.recorder.until(lambda: pool.runner.history.last_error is not None)
        assert "command not found: 'no-such-program'" in str(pool.runner.history.last_error)


async def test_abandoned_processes_are_killed_at_once_and_replaced() -> None:
    """Requests are lost by our doing, whatever the handlers or a grace would like; idle processes stay."""
    async with bench({"pool_size": 2}, runner_shutdown_term_grace_seconds=600) as pool:
        await pool.ready(2)
        pool.submit("stuck", "block")
        before = set(pool.runner.pids())
        pool.runner.abandon("for a reason")
        assert (await pool.loss("stuck")) == (LostCause.STOPPED, "for a reason")
        await pool.recorder.until(lambda: sum(map(is_gone, before)) == 1)
        # Gone is seen here before the pool hears of it.
        await pool.recorder.until(lambda: len(before & set(pool.runner.pids())) == 1)
        await pool.ready(2)
