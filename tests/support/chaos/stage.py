"""What a round plays on: a folder, a Redis with an append-only file, proxies, orchestrators and producers."""

import os
import secrets
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import msgspec
import redis

from rrq_protocol import Keyspace
from support.chaos import handlers
from support.chaos.options import Options
from support.chaos.producing import Config
from support.chaos.slots import REGISTERED, Slot, marked
from support.proxy import Proxy
from support.redis_choice import NoRedis, for_most
from support.redis_servers import ProcessServer

__all__ = ["Stage", "steady_port"]

TESTS = Path(__file__).resolve().parents[2]
# Of Redis, one script call of the largest job takes microseconds; a reply later than this is a hung server.
ADMIN_TIMEOUT_S = 30.0
STOPPED_WITHIN_S = 45.0
_LOOK_S = 0.1

_SETTINGS = """\
[rrq]
redis_dsn = "{url}"
log_format = "json"
job_events = true
lease_seconds = {lease_s}
lease_beat_seconds = {beat_s}
max_crashes = {max_crashes}
base_retry_delay_seconds = 0.05
max_retry_delay_seconds = 1.0
runner_cancel_grace_seconds = 0.5
runner_shutdown_term_grace_seconds = 1.0
worker_shutdown_grace_period_seconds = 0.3

[rrq.runners.python]
app = "handlers:settings"
pool_size = 2
max_in_flight = 10
env = {{ CHAOS_MARK = "{mark}", CHAOS_WITNESS = "{witness}" }}
"""


class Stage:
    """See the module; use it in ``with``, which leaves no process behind and, after a good end, no folder.

    Attributes:
        folder: Everything but Redis's own files is here.
        keep: Leave the folder for whoever looks into a failure.
        orchestrators: The slots; the last one reaches Redis through ``proxies[0]``.
        producers: The slots; the last one reaches Redis through ``proxies[1]``.
        witness: What the handlers write.
        gate: What tells the producers how far they may go.
        redis_up: Whether the server runs, as far as the bench has not stopped it.
    """

    def __init__(self, options: Options, rng: Random) -> None:
        if (binary := for_most().binary) is None:
            raise NoRedis(f"the bench kills its Redis and needs a server program, have only {for_most()}")
        # Not pytest's tmp_path: a Unix socket's path may be 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="rrq-chaos-"))
        self.keep = False
        self.keyspace = Keyspace("rrq")
        self.server = ProcessServer(
            binary, append_only=True, port=steady_port(), arguments=("--appendfsync", options.fsync)
        )
        self.redis_up = False
        self.client = redis.Redis.from_url(
            self.server.url, socket_timeout=ADMIN_TIMEOUT_S, socket_connect_timeout=ADMIN_TIMEOUT_S
        )
        self.proxies = (Proxy(self.server.url), Proxy(self.server.url))
        self.mark = f"rrq-chaos-{secrets.token_hex(8)}"
        self.witness, self.gate, self._tmp = (self.folder / name for name in ("witness", "gate", "tmp"))
        self._options, self._rng, self._open = options, rng, ExitStack()
        self._look_at = 0.0
        self._write_files()
        self.orchestrators = [self._orchestrator(index) for index in range(options.orchestrators)]
        self.producers = [self._producer(index) for index in range(options.producers)]

    def __enter__(self) -> Self:
        self._open.callback(self._clear)
        self.server.start()
        self.redis_up = True
        for proxy in self.proxies:
            self._open.enter_context(proxy)
        for slot in self.slots:
            slot.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keep = self.keep or error is not None
        self._open.close()

    @property
    def slots(self) -> list[Slot]:
        """All slots."""
        return [*self.orchestrators, *self.producers]

    @property
    def ledgers(self) -> list[Path]:
        """The producers' ledgers."""
        return [self._ledger(index) for index in range(self._options.producers)]

    def tend(self) -> None:
        """Fill the slots whose processes died, and notice when an orchestrator has begun to work."""
        for slot in self.slots:
            slot.tend()
        if (now := time.monotonic()) >= self._look_at:
            self._look_at = now + _LOOK_S
            for slot in self.orchestrators:
                if slot.running:
                    slot.running.has_said(REGISTERED)

    def wait(self, done: Callable[[], bool], within_s: float, step_s: float = 0.02) -> bool:
        """Tend the slots until ``done()``; False if it is not within the time."""
        give_up = time.monotonic() + within_s
        while not done():
            if time.monotonic() > give_up:
                return False
            self.tend()
            time.sleep(step_s)
        return True

    def stop(self) -> list[str]:
        """Stop all processes in order; return what was not in order about it."""
        for slot in self.slots:
            slot.stop()
        self.wait(lambda: all(slot.running is None for slot in self.slots), STOPPED_WITHIN_S)
        problems = [f"{slot.name}: did not end after SIGTERM" for slot in self.slots if slot.running]
        if not self.wait(lambda: not marked(self.mark), 10):
            problems.append(f"processes are left: {marked(self.mark)}")
        sockets = [str(path) for path in self.folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
        if sockets:
            problems.append(f"sockets are left: {', '.join(sockets)}")
        return problems

    def _clear(self) -> None:
        for pid in marked(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for slot in self.slots:
            slot.finished = True
        self.wait(lambda: all(slot.running is None for slot in self.slots), 10)
        self.client.close()
        self.server.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write_files(self) -> None:
        self._tmp.mkdir(mode=0o700)
        shutil.copy(handlers.__file__, self.folder / "handlers.py")
        options = self._options
        text = _SETTINGS.format(
            url=self.server.url,
            lease_s=options.lease_s,
            beat_s=options.beat_s,
            max_crashes=options.max_crashes,
            mark=self.mark,
            witness=self.witness,
        )
        (self.folder / "rrq.toml").write_text(text)

    def _orchestrator(self, index: int) -> Slot:
        env = {"CHAOS_MARK": self.mark, "TMPDIR": str(self._tmp)}
        if index == self._options.orchestrators - 1:
            env["RRQ_REDIS_DSN"] = self.proxies[0].url
        arguments = ("-m", "rrq_orchestrator", "--config", "rrq.toml")
        return Slot(f"orchestrator-{index}", arguments, self.folder, env, self._pauses())

    def _producer(self, index: int) -> Slot:
        options, last = self._options, index == self._options.producers - 1
        quota = options.jobs // options.producers + (options.jobs % options.producers if last else 0)
        config = Config(
            url=self.proxies[1].url if last else self.server.url,
            prefix=self.keyspace.prefix,
            ledger=str(self._ledger(index)),
            seed=f"{options.seed}:{index}",
            quota=quota,
            share=quota / options.jobs,
            gate=str(self.gate),
            per_second=quota / options.span_s * 1.3,
            concurrent=index % 2 == 1,
        )
        env = {"CHAOS_MARK": self.mark, "PYTHONPATH": str(TESTS)}
        arguments = ("-m", "support.chaos.producing", msgspec.json.encode(config).decode())
        return Slot(f"producer-{index}", arguments, self.folder, env, self._pauses())

    def _ledger(self, index: int) -> Path:
        return self.folder / f"ledger-{index}"

    def _pauses(self) -> list[float]:
        return [self._rng.uniform(0, 0.5) for _ in range(16)]


def steady_port() -> int:
    """Return a free port below those that connections are given, one of which might take it from a dead
    server.
    """
    for _ in range(100):
        port = secrets.choice(range(15_000, 30_000))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise NoRedis("found no free port between 15000 and 30000 for the bench's Redis")
