"""`rrq top` on a real terminal."""

import signal

from support.cli import WORKER, World
from support.terminal import Terminal


def test_json_is_one_look(world: World) -> None:
    """Without a terminal there is JSON, and nothing else."""
    world.enqueue()
    found = world.rrq("top", "--json").json
    assert set(found) == {"at", "redis", "queues", "orchestrators", "running", "dead", "dead_total"}
    assert found["queues"][0]["ready"] == 1
    assert world.rrq("top").code == 2


def test_keys_act(world: World) -> None:
    """A queue is paused, a running job asked to cancel, a dead letter requeued; q gives the terminal back."""
    dead = world.dead(queue_name="media")
    running = world.enqueue()
    world.claim()
    args = ["top", "--interval", "0.1"]
    with Terminal(args, world.environment, world.folder, size=(30, 100)) as terminal:
        terminal.wait_for("1 running job")
        terminal.wait_for(WORKER)
        terminal.type("p")
        terminal.wait_for("queue default: paused")
        assert world.redis.sismember(world.keys.paused, "default")
        terminal.type("\t")
        terminal.type("c")
        terminal.wait_for(f"cancel job {running}? y/n")
        terminal.type("n")
        terminal.wait_for("nothing was done")
        terminal.type("c")
        terminal.wait_for(f"cancel job {running}? y/n", times=2)
        terminal.type("y")
        terminal.wait_for(f"cancel of job {running}: requested")
        terminal.type("\x1b[C")
        terminal.type("r")
        terminal.wait_for(f"requeue job {dead}? y/n")
        terminal.type("y")
        terminal.wait_for(f"requeue of job {dead}: ok")
        assert world.redis.hget(world.keys.job(dead), "status") == b"PENDING"
        terminal.type("q")
        assert terminal.wait_for_end() == 0
        assert terminal.raw.endswith("\x1b[?25h\x1b[?1049l")


def test_ctrl_c_gives_the_terminal_back(world: World) -> None:
    """Ctrl-C is one way to quit, and no traceback."""
    with Terminal(["top"], world.environment, world.folder) as terminal:
        terminal.wait_for("q quit")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_end() == 0
        assert terminal.raw.endswith("\x1b[?25h\x1b[?1049l")
        assert "Traceback" not in terminal.text
