"""`rrq debug`, called as people call it."""

import subprocess
import sys

import pytest

from rrq_protocol.transitions import SettleKind
from support.cli import World


def test_submit(world: World) -> None:
    """A job is enqueued with its parameters, queue, id and time."""
    answer = world.rrq(
        "debug",
        "submit",
        "f",
        "--params",
        '{"a": 1}',
        "--param",
        "b=x",
        "--queue",
        "q",
        "--job-id",
        "j",
        "--defer",
        "5m",
    )
    assert answer.code == 0
    assert "j  enqueued in queue q" in answer.out
    found = world.rrq("job", "show", "j", "--json").json
    assert (found["params"], found["queue_name"]) == ({"a": 1, "b": "x"}, "q")
    assert world.rrq("queue", "list", "--json").json["queues"][0]["later"] == 1


def test_submitting_again_is_no_second_job(world: World) -> None:
    """The same id with the same content is the same job; with another content it is refused."""
    assert world.rrq("debug", "submit", "f", "--job-id", "j", "--json").json["created"] is True
    assert world.rrq("debug", "submit", "f", "--job-id", "j", "--json").json["created"] is False
    answer = world.rrq("debug", "submit", "g", "--job-id", "j")
    assert (answer.code, "another content" in answer.err) == (1, True)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("f", "--params", "["), 2, "no JSON"),
        (("f", "--params", "[1]"), 2, "expected a JSON object"),
        (("f", "--param", "x"), 2, "name=value"),
        (("f", "--defer", "soon"), 2, "90s"),
        (("f\n",), 1, "function"),
        (("f", "--queue", "a b"), 1, "queue"),
    ],
)
def test_wrong_input_is_refused(world: World, args: tuple[str, ...], code: int, said: str) -> None:
    """What cannot be a job is refused with what was expected, and nothing is stored."""
    answer = world.rrq("debug", "submit", *args)
    assert (answer.code, said in answer.err) == (code, True)
    assert world.redis.exists(world.keys.queues) == 0


@pytest.mark.parametrize(("kind", "code"), [(SettleKind.COMPLETE, 0), (SettleKind.CANCEL, 1)])
def test_waiting_ends_with_the_job(world: World, kind: SettleKind, code: int) -> None:
    """`--wait` prints the end of the job; anything but completion is a failure."""
    with subprocess.Popen(
        [sys.executable, "-m", "rrq_cli", "debug", "submit", "f", "--job-id", "j", "--wait"],
        env=world.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        world.wait_for_subscriber("j")
        (job,) = world.claim()
        world.settle(job, kind, '{"n": 1}' if code == 0 else "no longer wanted")
        out, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert ('{"n": 1}' if code == 0 else "no longer wanted") in out


def test_waiting_has_an_end(world: World) -> None:
    """A job that does not end in time is a failure that says so."""
    answer = world.rrq("debug", "submit", "f", "--wait", "--wait-timeout", "0.05")
    assert (answer.code, "not ended within 0.05 s" in answer.out) == (1, True)


def test_the_hint_has_the_options(world: World) -> None:
    """What is printed to follow the job works when pasted: it has the options, and no password."""
    answer = world.rrq("--prefix", world.keys.prefix, "debug", "submit", "f", "--job-id", "j")
    assert f"follow it: rrq --prefix {world.keys.prefix} job trace j\n" in answer.out
    named = world.url.replace("redis://", "redis://default:canary@") if "@" not in world.url else world.url
    world.environment.pop("RRQ_REDIS_DSN")
    answer = world.rrq("debug", "submit", "f", "--redis-dsn", named)
    assert "canary" not in answer.out + answer.err


def test_earlier_names_of_options(world: World) -> None:
    """`--kwargs` and `--delay` are `--params` and `--defer`, and the help does not list them."""
    made = world.rrq("debug", "submit", "f", "--kwargs", '{"x": 1}', "--delay", "60", "--json").json
    assert world.redis.hget(world.keys.job(made["id"]), "job_params") == b'{"x":1}'
    assert world.rrq("queue", "list", "--json").json["queues"][0]["later"] == 1
    assert "--kwargs" not in world.rrq("debug", "submit", "--help").out
