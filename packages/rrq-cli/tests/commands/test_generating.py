"""`rrq debug generate-jobs`, `generate-workers`, `clear`, `stress-test`, called as people call them."""

import signal
from urllib.parse import urlsplit

from support.cli import World
from support.terminal import Terminal


def test_generate_and_clear(world: World) -> None:
    """What was generated is all there, shown by the other commands, and gone after a clear."""
    args = ("--count", "30", "--queue", "urgent", "--queue", "media", "--seed", "3", "--batch-size", "4")
    made = world.rrq("debug", "generate-jobs", *args, "--json").json
    assert (sum(made["jobs"].values()), made["queues"]) == (30, ["urgent", "media"])
    only = world.rrq(
        "debug", "generate-jobs", "--count", "2", "--status", "completed", "--function", "f", "--json"
    )
    assert only.json == {"jobs": {"completed": 2}, "orchestrators": 0, "queues": ["default"]}
    assert world.rrq("job", "list", "--function", "f", "--scan", "--json").json["looked_at"] == 32
    assert world.rrq("debug", "clear").code == 2
    assert world.rrq("debug", "clear", "--dry-run").out == "32 jobs would be deleted\n"
    assert world.rrq("debug", "clear", "--pattern", "other*", "--yes").out == "0 jobs deleted\n"
    assert world.rrq("debug", "clear", "--confirm", "--json").json["results"] == {"ok": 32}
    assert world.redis.keys(world.keys.job("*")) == []


def test_simulated_orchestrators(world: World) -> None:
    """They are there while the command runs, and gone after Ctrl-C."""
    args = ["debug", "generate-workers", "--count", "2", "--duration", "1h", "--queue", "media"]
    with Terminal(args, world.environment, world.folder) as terminal:
        terminal.wait_for("2 orchestrators, second")
        assert world.redis.zcard(world.keys.workers) == 2
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_end() == 130
    assert world.redis.zcard(world.keys.workers) == 0
    answer = world.rrq("debug", "generate-workers", "--count", "1", "--duration", "0", "--json")
    assert (answer.code, answer.json["orchestrators"]) == (0, 1)


def test_stress_test(world: World) -> None:
    """The rate is told; jobs that do not end while they are waited for are a finding."""
    args = ("debug", "stress-test", "--jobs-per-second", "100", "--duration", "0.1", "--queue", "a")
    done = world.rrq(*args, "--json")
    assert (done.code, done.json["enqueued"], done.json["ended"]) == (0, 10, None)
    answer = world.rrq(*args, "--wait", "--wait-timeout", "0")
    assert (answer.code, "10 jobs enqueued" in answer.out, "0 jobs ended" in answer.out) == (1, True, True)


def test_a_server_elsewhere_has_to_be_named(world: World) -> None:
    """Where Redis is not on a loopback address, --yes alone clears nothing (S26)."""
    url = urlsplit(world.url)
    world.environment["RRQ_REDIS_DSN"] = f"redis://0.0.0.0:{url.port}{url.path}"  # leads here all the same
    target = f"0.0.0.0:{url.port}/{url.path.strip('/') or 0}"
    world.enqueue(job_id="test_1")
    refused = world.rrq("debug", "clear", "--yes", "--json")
    assert (refused.code, f"--target {target}" in refused.err) == (2, True)
    assert world.rrq("debug", "clear", "--yes", "--target", f"other{target}").code == 2
    with Terminal(["debug", "clear", "--yes"], world.environment, world.folder) as terminal:
        terminal.wait_for("Type its name to go on")
        terminal.type("localhost\n")
        assert terminal.wait_for_end() != 0
    assert world.redis.exists(world.keys.job("test_1"))
    with Terminal(["debug", "clear", "--yes"], world.environment, world.folder) as terminal:
        terminal.wait_for("Type its name to go on")
        terminal.type(f"{target}\n")
        assert terminal.wait_for_end() == 0
    assert not world.redis.exists(world.keys.job("test_1"))
    world.enqueue(job_id="test_2")
    done = world.rrq("debug", "clear", "--yes", "--target", target, "--json")
    assert done.json["results"] == {"ok": 1}
