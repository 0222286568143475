"""The demo from the first process to the last."""

import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from rrq_cli.demo.children import Child, Children
from rrq_cli.demo.display import Display, Progress
from rrq_cli.demo.interrupts import Interrupts
from rrq_cli.demo.leftovers import clear, orchestrators
from rrq_cli.demo.log_tail import last_lines
from rrq_cli.demo.plan import QUEUE, DemoPlan, environment, module, write_config
from rrq_cli.demo.results import DemoResult, read_result
from rrq_cli.exits import fail
from rrq_cli.store.client import Store, connect
from rrq_cli.store.throughput import count_of
from rrq_cli.words import plural
from rrq_protocol import Secret, Settings
from rrq_protocol.settings import resolve_redis

__all__ = ["run_demo", "server_runs"]

_EARLIER_WITHIN_S = 8.0
_SERVER_WITHIN_S = 120.0
_ORCHESTRATOR_WITHIN_S = 30.0
_TICK_S = 0.05


def run_demo(plan: DemoPlan, display: Display, interrupts: Interrupts) -> DemoResult:
    """Run the demo and return its result; on any other way out nothing that it started is left.

    Raises:
        Interrupted: A signal asked it to end.
        CliError: Something did not start, or ended early.
    """
    with (
        _alone(plan, display, interrupts) as lock,
        Children(interrupts, environment(), plan.folder, lock) as children,
    ):
        interrupts.check()
        server = _start_server(plan, children, interrupts)
        verb = "started" if server["started"] else "found running"
        display.step(f"Valkey {server.get('version', '')} {verb}")
        write_config(plan)
        with _store(plan) as store:
            cleared = clear(store, interrupts.wait)
            if cleared:
                display.step(f"{plural(cleared, 'job')} of an earlier demo deleted")
            orchestrator = _start_orchestrator(plan, store, children, interrupts)
            display.step(
                f"an orchestrator and {plural(plan.processes, 'runner process', 'runner processes')} started"
            )
            with display:
                total, seconds = _work(plan, store, children, orchestrator, display, interrupts)
            children.end(orchestrator)
            interrupts.check()
            result = read_result(store, total, seconds, plan.processes)
        result.server = {key: server.get(key) for key in ("socket", "pid", "version")}
        result.server |= {"folder": str(plan.folder), "left_running": True}
        children.keep()
        return result


def server_runs(plan: DemoPlan) -> bool:
    """Return whether a server runs in the demo's folder."""
    return resolve_redis(_settings(plan)).problem is None


@contextmanager
def _alone(plan: DemoPlan, display: Display, interrupts: Interrupts) -> Iterator[int]:
    """Lock the folder itself and yield the lock; the guard holds it too, until all is cleared up."""
    lock = os.open(plan.folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        give_up = time.monotonic() + _EARLIER_WITHIN_S
        told = False
        while not _try_lock(lock):
            if time.monotonic() > give_up:
                fail(f"another demo runs in {plan.folder}: wait for it, or choose another folder with --dir")
            if not told:
                display.step("waiting for an earlier demo in this folder to end")
                told = True
            interrupts.wait(_TICK_S)
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _store(plan: DemoPlan) -> Iterator[Store]:
    """Connect to the server in the demo's folder."""
    settings = _settings(plan)
    target = resolve_redis(settings)
    if target.problem is not None:
        fail(target.problem)
    with connect(target) as client:
        yield Store(client, settings, target.display)


def _settings(plan: DemoPlan) -> Settings:
    return Settings(
        redis_dsn=Secret(f"embedded://{plan.folder}"), default_dlq_name=QUEUE, default_queue_name=QUEUE
    )


def _start_server(plan: DemoPlan, children: Children, interrupts: Interrupts) -> dict[str, Any]:
    """Start the embedded server, or find it running; what was started is stopped on every early way out."""
    embedded = module("rrq_orchestrator.embedded")
    place = ("--dir", str(plan.folder))
    if not server_runs(plan):
        children.stop_at_the_end([*embedded, "stop", *place])
    # Never cut short: half a start would leave a folder that nobody can tell from somebody else's.
    command = [*embedded, "start", *place, "--json"]
    child = children.start("server", command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, brief=True)
    give_up = time.monotonic() + _SERVER_WITHIN_S
    while child.code() is None:
        if time.monotonic() > give_up:
            fail(f"Valkey did not start within {_SERVER_WITHIN_S:g} s; see the log in {plan.folder}")
        interrupts.wait(_TICK_S)
    output, errors = child.process.communicate()
    children.forget(child)
    if child.code() != 0:
        reason = errors.decode("utf-8", "replace").strip().removeprefix("rrq: ") or "no reason given"
        fail(f"the embedded Valkey could not be started: {reason}")
    facts: dict[str, Any] = json.loads(output.splitlines()[-1])
    if not facts.get("started"):
        children.keep()
    return facts


def _start_orchestrator(plan: DemoPlan, store: Store, children: Children, interrupts: Interrupts) -> Child:
    with plan.log.open("wb") as log:
        child = children.start(
            "orchestrator", module("rrq_orchestrator", "--config", str(plan.config)), stdout=log, stderr=log
        )
    give_up = time.monotonic() + _ORCHESTRATOR_WITHIN_S
    while not orchestrators(store):
        if child.code() is not None:
            _fail_with_log(plan, child, "ended while it started")
        if time.monotonic() > give_up:
            _fail_with_log(plan, child, f"did not come up within {_ORCHESTRATOR_WITHIN_S:g} s")
        interrupts.wait(_TICK_S)
    return child


def _fail_with_log(plan: DemoPlan, child: Child, what: str) -> NoReturn:
    code = "" if child.code() is None else f" (exit code {child.code()})"
    fail("\n".join([f"the {child.name} {what}{code}. Its log, {plan.log}, ends:", *last_lines(plan.log)]))


class _Producer:
    """The producer process and what it has said so far, a JSON object per line."""

    def __init__(self, plan: DemoPlan, children: Children, errors: IO[bytes]) -> None:
        command = module("rrq_producer.demo", "--files", str(plan.files), "--config", str(plan.config))
        self.child = children.start("producer", command, stdout=subprocess.PIPE, stderr=errors)
        self._errors, self._buffer = errors, b""
        self.enqueued, self.total, self.done = 0, 0, False
        assert self.child.process.stdout is not None
        self._output = self.child.process.stdout
        os.set_blocking(self._output.fileno(), False)

    def listen(self) -> None:
        """Take note of what was said since the last call.

        Raises:
            CliError: It ended without saying that it is done.
        """
        code = self.child.code()  # before reading: what it said last is read then
        while data := self._output.read(65536):
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._note(line)
        if code is not None and not (code == 0 and self.done):
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip().removeprefix("rrq: ")
            fail(f"the producer ended with exit code {code}: {said or 'no reason given'}")

    def _note(self, line: bytes) -> None:
        event = json.loads(line)
        if event.get("event") == "enqueued":
            self.enqueued, self.total = int(event["count"]), int(event["total"])
        elif event.get("event") == "done":
            self.done = True
            self.total = int(event.get("total", self.total))
            self.enqueued = int(event.get("count", self.total))


def _work(
    plan: DemoPlan,
    store: Store,
    children: Children,
    orchestrator: Child,
    display: Display,
    interrupts: Interrupts,
) -> tuple[int, float]:
    """Enqueue everything and wait until it is through; return the number of files and the seconds it took."""
    with tempfile.TemporaryFile() as errors:
        producer = _Producer(plan, children, errors)
        began: float | None = None
        while True:
            producer.listen()
            now = time.monotonic()
            progress = _progress(store, producer, now - (began or now))
            if began is None and progress.enqueued:
                began = now
            display.update(progress)
            if producer.done and progress.ended >= producer.total:
                children.forget(producer.child)
                return producer.total, max(progress.seconds, _TICK_S)
            if orchestrator.code() is not None:
                _fail_with_log(plan, orchestrator, "ended before the work was done")
            interrupts.wait(_TICK_S)


def _progress(store: Store, producer: _Producer, seconds: float) -> Progress:
    fields = ("enqueued", "completed", "failed", "cancelled", "retried")
    (reply,) = store.ask(("HMGET", store.keys.stats(QUEUE), *fields))
    if isinstance(reply, Exception):
        raise reply
    enqueued, completed, failed, cancelled, retried = map(count_of, reply)
    return Progress(
        total=producer.total,
        enqueued=max(enqueued, producer.enqueued),
        done=completed,
        failed=failed + cancelled,
        retried=retried,
        seconds=seconds,
    )
