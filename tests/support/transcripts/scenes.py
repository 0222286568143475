"""Which commands are played, in which order. A scene begins with the stored system as it is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from support.cli import HOSTILE, World
from support.transcripts.stored import LONG, OURS

__all__ = ["SCENES", "Scene", "Step"]


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        words: What stands after ``rrq``.
        code: The exit code.
        json: Whether it knows ``--json``.
        child: Whether it runs as a process of its own.
        real_time: Whether it sees the real clock, as what it does is judged by the server's.
        unfitted: Whether its lines may be wider than the window: logs and messages for programs.
        before: What happens just before it.
        varying: Patterns of what differs from run to run, and what is written in their place.
    """

    words: tuple[str, ...]
    code: int = 0
    json: bool = True
    child: bool = False
    real_time: bool = False
    unfitted: bool = False
    before: Callable[[World], None] | None = None
    varying: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Scene:
    """Steps that are played one after the other, and the windows they are played in."""

    steps: tuple[Step, ...]
    modes: tuple[str, ...] = ("160", "80", "json")


def _step(line: str, code: int = 0, **more: Any) -> Step:
    return Step(tuple(line.split()), code, **more)


def _a_live_orchestrator(world: World) -> None:
    world.register(OURS)


def _file(name: str, text: str) -> Callable[[World], None]:
    def write(world: World) -> None:
        file = world.folder / name
        file.write_text(text)
        file.chmod(0o644)  # which is told, where there may be secrets in it

    return write


# What nobody may see on a screen or in a bug report (S8), what a program takes for markup, and entries.
_SETTINGS = f"""
[rrq]
default_queue_name = "mail"
lease_seconds = 20

[rrq.runners.python]
cmd = ["python", "-m", "shop.runner", "--token=hunter2", {json.dumps(HOSTILE)}]
env = {{ API_KEY = "hunter2", GREETING = {json.dumps(HOSTILE)} }}
pool_size = 2

[[rrq.cron_jobs]]
name = "nightly"
function_name = "report"
schedule = "30 2 * * *"
timezone = "Europe/Berlin"
params = {{ pages = 3 }}

[[rrq.cron_jobs]]
function_name = "clean_up"
schedule = "*/15 * * * *"
queue_name = "reports.nightly"
"""
_WRONG = """
[rrq]
default_que_name = "mail"
lease_seconds = "soon"
redis_dsn = "redis://:hunter2@nowhere:notaport"

[[rrq.cron_jobs]]
function_name = "clean_up"
schedule = "61 * * * *"
"""
_COUNTED = (
    (r"\d+ jobs? enqueued", "<number> jobs enqueued"),
    (r"\b\d[\d.,]* ?(ms|µs|s)\b", "<time>"),
    (r"\d[\d.,]*(/s|/min)", "<rate>"),
)
# What doctor says of the server.
_SERVER = ((r"(?s)(Redis at).*?\n\n", r"\1 …\n\n"), (r'(?s)"server": \[.*?\n  \],', '"server": […],'))
_NUMBERS = ((r"(\": )-?[\d.]+(e-?\d+)?", r"\1<number>"),)
_QUEUES = [
    _step("queue list"),
    _step("queue list --show-empty"),
    _step("queue stats"),
    _step("queue stats --queue default --queue mail --max-scan 0"),
    _step("queue stats --queue mail --max-scan"),
    _step("queue inspect default"),
    _step("queue inspect mail --limit 2 --offset 1"),
    _step("queue inspect broken", 1),
    _step("queue pause mial", 1),
    _step("queue pause new --force"),
    _step("queue pause mail"),
    _step("queue pause mail"),
    _step("queue resume mail"),
    _step("queue purge mail --dry-run"),
    _step("queue purge default --yes"),
    Step(("queue", "inspect", HOSTILE), 1),
]
_JOBS = [
    _step("job list"),
    _step("job list --status failed --limit 3"),
    _step("job list --queue mail --function send_email"),
    _step("job show done"),
    _step("job show malformed", 1),
    _step("job show gone", 1),
    _step("job wait done --timeout 0"),
    _step("job wait dead --timeout 0", 1),
    _step("job wait due-first --timeout 0", 1),
    _step("job cancel due-first"),
    _step("job cancel done", 1),
    _step("job replay done"),
]
_TRACES = [
    _step(f"job trace {job_id}") for job_id in ("dead", "retrying", "running", "done", "given-back", LONG)
]
_REASONS = [
    *(_step(f"job why {job_id}") for job_id in ("due-first", "later", "retrying", "running")),
    *(_step(f"job why {job_id}", 1) for job_id in ("on-hold", "unserved", "malformed")),
]
_DEAD = [
    _step("dlq list"),
    _step("dlq list --function send_email --since 2025-01-06T10:00:00Z --error SMTP --limit 2"),
    _step("dlq stats"),
    _step("dlq inspect dead"),
    _step("dlq inspect dead-hostile"),
    _step("dlq requeue --function send_email --limit 2 --dry-run"),
    _step("dlq requeue --job-id dead --target-queue retry"),
    _step("dlq purge --function send_email --dry-run"),
    _step("dlq purge --all --yes"),
]
_HEALTH = [
    _step("check", 1),
    _step("worker list"),
    _step("top", 2, json=False),
    _step("worker drain nobody", 1),
    _step("worker drain --all", before=_a_live_orchestrator, real_time=True),
]
_SCREEN = [_step("top")]
_SETTLED = [
    _step(
        "config show --changed --origin --redis-dsn redis://:hunter2@redis.example:6379/1",
        before=_file("rrq.toml", _SETTINGS),
    ),
    _step("config check"),
    _step("cron list", varying=((r"next  .*", "next  <time>"), (r'("next": )".*"', r'\1"<time>"'))),
    _step("cron trigger nightly"),
    _step("cron trigger weekly", 2),
    _step("config check", 78, before=_file("rrq.toml", _WRONG)),
    _step("config show", 78),
]
_TRIED = [
    _step("debug submit greet --param name=you --job-id greeting"),
    _step("debug submit greet --param name=you --job-id greeting"),
    _step("debug generate-jobs --count 4 --seed 7 --queue trial"),
    _step("debug generate-workers --count 1 --duration 0.1", varying=_COUNTED),
    _step("debug clear --dry-run"),
    _step("debug clear --yes"),
    # How many it gets done in so short a time is the machine's business.
    _step("debug stress-test --jobs-per-second 20 --duration 0.4 --queue trial", varying=_COUNTED + _NUMBERS),
]
_ASIDE = [
    _step("init shop"),
    _step("init shop", 1),
    _step("completion bash", json=False, unfitted=True, varying=((r"(?s)\n.*", "\n…"),)),
    _step("embedded status --dir .rrq", 1),
    _step("embedded stop --dir .rrq"),
    _step("embedded start --dir shop/handlers.py", 78),
    _step("doctor", 1, unfitted=True, varying=_SERVER),
]
_BESIDES = [
    _step("worker run --config wrong.toml", 78, child=True, before=_file("wrong.toml", _WRONG)),
    _step("worker watch --config wrong.toml", 78, child=True),
    _step("dev", 78, child=True),
    _step("demo --processes 0", 2),
    _step("runner python", 2),
    _step("executor python --settings nowhere:settings --unix-socket shop.sock", 78),
    _step("runner conformance --cmd false", 1, unfitted=True),
]

SCENES = {
    "queues": Scene(tuple(_QUEUES)),
    "jobs": Scene(tuple(_JOBS)),
    "traces": Scene(tuple(_TRACES)),
    "reasons": Scene(tuple(_REASONS)),
    "dead-letters": Scene(tuple(_DEAD)),
    "health": Scene(tuple(_HEALTH)),
    "screen": Scene(tuple(_SCREEN), ("json",)),
    "settings": Scene(tuple(_SETTLED)),
    "tried": Scene(tuple(_TRIED)),
    "aside": Scene(tuple(_ASIDE), ("80", "json")),
    "besides": Scene(tuple(replace(each, json=False) for each in _BESIDES), ("80",)),
}
