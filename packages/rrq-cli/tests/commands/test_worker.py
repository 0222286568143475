"""`rrq worker list` and `drain`, called as people call them."""

import subprocess
import sys
import time

from support.cli import WORKER, World


def test_list(world: World) -> None:
    """Orchestrators with what they report; none is said, and is no failure."""
    assert world.rrq("worker", "list").out == "No orchestrator is known.\n"
    world.register(runners={"python": {"state": "ready", "capacity": 4, "free": 3}})
    answer = world.rrq("worker", "list")
    assert (answer.code, WORKER in answer.out, "python" in answer.out) == (0, True, True)
    (found,) = world.rrq("worker", "list", "--json").json["orchestrators"]
    assert (found["id"], found["state"], found["runners"][0]["free"]) == (WORKER, "live", 3)
    assert world.rrq("--json", "worker", "list").json["orchestrators"]


def test_drain_asks(world: World) -> None:
    """One request is left for an orchestrator that lives; a name that fits nobody is told."""
    assert world.rrq("worker", "drain").code == 2
    assert world.rrq("worker", "drain", "--all").code == 1
    world.register()
    answer = world.rrq("worker", "drain", WORKER)
    assert (answer.code, answer.out) == (0, f"{WORKER} was asked to stop\n")
    assert world.redis.lrange(world.keys.control(WORKER), 0, -1) == [b"drain"]
    answer = world.rrq("worker", "drain", "--all", "--wait", "--wait-timeout", "0", "--json")
    assert answer.code == 1
    assert answer.json == {"orchestrators": [{"id": WORKER, "result": "asked", "gone": False}]}
    answer = world.rrq("worker", "drain", "nobody")
    assert (answer.code, "there is no orchestrator nobody" in answer.err) == (1, True)


def test_a_real_orchestrator_leaves(world: World) -> None:
    """A drained process ends with code 0, and whoever waits for it learns so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rrq_cli", "worker", "run"],
        env=world.environment,
        cwd=world.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + 60
        while not world.redis.zcard(world.keys.workers):
            assert time.monotonic() < give_up
            time.sleep(0.02)  # Redis has no event for a lease
        answer = world.rrq("worker", "drain", "--all", "--wait", "--json")
        assert (answer.code, [each["gone"] for each in answer.json["orchestrators"]]) == (0, [True])
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
