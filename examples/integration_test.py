"""The whole road, watched: every scenario for the runners of examples/, alone and side by side.

``python examples/integration_test.py --count 100`` in a checkout after ``make setup``. The scenarios are
those of tests/integration (tests/support/scenarios.py). By default a Redis of its own is started, and ended.
"""

import argparse
import contextlib
import os
import secrets
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from support.road import Road

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run it all; return 0 where everything went as it should, 1 where not, 2 where it was not run."""
    options = _options()
    for name in [name for name in os.environ if name.startswith("RRQ_")]:
        del os.environ[name]  # set for other programs
    os.environ["RRQ_TEST_COUNT"] = str(options.count)  # read when the scenarios are imported
    sys.path.insert(0, str(ROOT / "tests"))
    from support.scenarios import OUTCOMES, table

    commands = _commands(options) or _refuse("there is no runner")
    with _redis(options) as url:
        for name, command in commands.items():
            _alone(options, url, name, command)
        if len(commands) > 1:
            _mixed(options, url, commands)
    print("", *table(), "", sep="\n")
    failed = [f"{name}: {scenario}" for (name, scenario), said in OUTCOMES.items() if said == "FAILED"]
    print(f"failed: {', '.join(failed)}" if failed else "all as it should be")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--count", type=int, default=1000, help="jobs per scenario [default: 1000]")
    add("--redis-dsn", metavar="URL", help="a Redis that runs already [default: one of its own]")
    add("--flush", action="store_true", help="with --redis-dsn: empty that database first")
    add(
        "--no-flush",
        action="store_true",
        help="with --redis-dsn: leave what is there",
    )
    add("--log-interval", type=float, default=5.0, metavar="SECONDS", help="between lines of progress")
    add("--only", metavar="NAMES", help="languages, with commas: python, rust, node, go [default: all]")
    add("--no-build-rust", action="store_true", help="leave the Rust runner out unless its command is given")
    add("--rust-executor-cmd", metavar="COMMAND", help="the Rust runner, in place of the one that is built")
    options = parser.parse_args()
    if not (options.count > 0 and options.log_interval > 0):
        parser.error("--count and --log-interval: expected more than 0")
    return options


def _commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each runner that can be had here; say which ones cannot."""
    from support.languages import LANGUAGES, Unbuilt, built

    commands: dict[str, list[str]] = {}
    for name in options.only.split(",") if options.only else LANGUAGES:
        try:
            if name not in LANGUAGES:
                raise Unbuilt(f"{name}: expected {', '.join(LANGUAGES)}")
            if name == "rust" and options.no_build_rust and not options.rust_executor_cmd:
                raise Unbuilt("rust: --no-build-rust")
            given = options.rust_executor_cmd if name == "rust" else None
            commands[name] = shlex.split(given) if given else built(name)
        except Unbuilt as error:
            print(f"left out: {error}", flush=True)
    return commands


def _refuse(why: str) -> NoReturn:
    print(f"not run: {why}", file=sys.stderr)
    sys.exit(2)


@contextlib.contextmanager
def _redis(options: argparse.Namespace) -> Iterator[str]:
    """Yield the URL of a Redis to write to. One that was here before is emptied only if told so."""
    import redis

    from support.redis_choice import Choice, choose, serving

    if options.redis_dsn is None:
        if not isinstance(choice := choose({}), Choice):
            _refuse(f"no Redis can be started ({choice.why}): run `make setup`, or give --redis-dsn")
        with contextlib.contextmanager(serving)(choice.own(append_only=False)) as server:
            yield server.url
        return
    try:
        with redis.Redis.from_url(options.redis_dsn) as client:
            if options.flush:
                client.flushdb()
            elif (keys := client.dbsize()) and not options.no_flush:
                _refuse(f"that database holds {keys} keys: --flush empties it, --no-flush leaves them")
    except redis.RedisError as error:
        _refuse(f"--redis-dsn: {error}")
    yield options.redis_dsn


@contextlib.contextmanager
def _road(url: str, commands: dict[str, list[str]]) -> "Iterator[Road]":
    """Serve an orchestrator with these runners, in a key space that is removed at the end."""
    from rrq_protocol import Keyspace
    from support.languages import LANGUAGES
    from support.road import Road
    from support.scenarios import CRON

    runners: dict[str, dict[str, Any]] = {}
    for name, command in commands.items():
        address = {} if "unix" in LANGUAGES[name].kinds else {"tcp_port": 0}
        folder = str(LANGUAGES[name].folder)
        runners[name] = {"cmd": command, "cwd": folder, "pool_size": 1, "max_in_flight": 100, **address}
    often, what = "* * * * * *", "language"
    entries = [
        {"name": f"{CRON}-{name}", "function_name": f"{name}#echo", "schedule": often, "params": {what: name}}
        for name in commands
    ]
    with Road(url, Keyspace(f"rrq-integration-{secrets.token_hex(4)}")) as road:
        road.configure(runners, cron_jobs=entries, default_runner_name=next(iter(runners)))
        try:
            with road.running():
                yield road
            road.assert_nothing_left()
        finally:
            for key in road.client.scan_iter(match=f"{road.keyspace.prefix}:*", count=10_000):
                road.client.unlink(key)


def _alone(options: argparse.Namespace, url: str, name: str, command: list[str]) -> None:
    from support.scenarios import COUNT, SCENARIOS, TICKS

    with _step(name, "clean end", "ok"), _road(url, {name: command}) as road:
        for scenario, run in SCENARIOS.items():
            told = f"{TICKS if scenario == 'cron' else COUNT} ok"
            with _step(name, scenario, told), _progress(options, road, f"{name}: {scenario}"):
                run(road, name)


def _mixed(options: argparse.Namespace, url: str, commands: dict[str, list[str]]) -> None:
    from rrq_protocol import Job
    from support.scenarios import COUNT

    with _step("mixed", "clean end", "ok"), _road(url, commands) as road:
        told = f"{COUNT * len(commands)} ok"
        with _step("mixed", "success", told), _progress(options, road, "mixed: success"):
            jobs = [Job(f"{name}#echo", {"number": n}) for n in range(COUNT) for name in commands]
            results = road.results(road.producer.enqueue_many(jobs))
            assert [result.result for result in results] == [dict(job.params) for job in jobs]


@contextlib.contextmanager
def _step(language: str, scenario: str, told: str) -> Iterator[None]:
    """Note what becomes of the block, and go on after a failure."""
    from support.scenarios import OUTCOMES

    begun = time.monotonic()
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are tried
        told = "FAILED"
        print(f"{language}: {scenario}: {type(error).__name__}: {str(error)[:500]}", flush=True)
    OUTCOMES[language, scenario] = told
    print(f"{language}: {scenario}: {told}, {time.monotonic() - begun:.1f} s", flush=True)


@contextlib.contextmanager
def _progress(options: argparse.Namespace, road: "Road", what: str) -> Iterator[None]:
    """Say now and then how many jobs still wait."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(options.log_interval):
            waiting = road.client.zcard(road.keyspace.queue("default"))
            print(f"{what}: {waiting} jobs wait", flush=True)

    (thread := threading.Thread(target=tell, daemon=True)).start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
