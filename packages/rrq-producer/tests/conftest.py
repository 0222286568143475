"""Fixtures of the producer's tests."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
import uvloop

from rrq_producer import AsyncProducer, Producer
from rrq_protocol import Keyspace, ScriptCall
from rrq_protocol.transitions import (
    ClaimRequest,
    Lease,
    SettleKind,
    Settlement,
    claim,
    register,
    settle,
)
from support.audit import audit
from support.enqueuing import script_calls, warm
from support.proxy import Proxy

T = TypeVar("T")


class Blocking:
    """An async producer used like the blocking one, so that one test can state what both do."""

    def __init__(self, producer: AsyncProducer, runner: asyncio.Runner) -> None:
        self.producer, self._runner = producer, runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.producer, name)
        if not inspect.iscoroutinefunction(method):
            return method
        return functools.partial(self._call, method)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._runner.run(method(*args, **kwargs))


@pytest.fixture(params=["blocking", "async", "uvloop"])
def make(request: pytest.FixtureRequest, keyspace: Keyspace) -> Iterator[Callable[..., Any]]:
    """Return what makes a producer for a URL, of either kind, with the test's key space; both are called
    without ``await``."""
    with ExitStack() as stack:

        def blocking(url: str, **options: Any) -> Any:
            return stack.enter_context(Producer(url, key_prefix=keyspace.prefix, **options))

        def in_a_loop(url: str, **options: Any) -> Any:
            factory = uvloop.new_event_loop if request.param == "uvloop" else None
            runner = stack.enter_context(asyncio.Runner(loop_factory=factory))
            made = Blocking(AsyncProducer(url, key_prefix=keyspace.prefix, **options), runner)
            stack.callback(made.aclose)
            return made

        yield blocking if request.param == "blocking" else in_a_loop


@pytest.fixture
def either(make: Callable[..., Any], redis_url: str) -> Any:
    """Return a producer of either kind on the session's Redis."""
    return make(redis_url)


@pytest.fixture
def whole(redis_client: Any, keyspace: Keyspace) -> Iterator[None]:
    """Look at the test's keys when it is over, as ``rrq doctor`` does."""
    yield
    assert audit(redis_client, keyspace, conserved=True) == ()


@pytest.fixture
def producer(redis_url: str, keyspace: Keyspace) -> Iterator[Producer]:
    """Serve a blocking producer on the session's Redis."""
    with Producer(redis_url, key_prefix=keyspace.prefix) as made:
        yield made


@pytest.fixture
def claim_jobs(redis_client: Any, keyspace: Keyspace) -> Callable[[], list[Settlement]]:
    """Return what claims all due jobs of the default queue, as an orchestrator does."""

    def run(call: ScriptCall[T]) -> T:
        return call.result(redis_client.execute_command(*call.eval_args()))

    def claim_all() -> list[Settlement]:
        run(register(keyspace, Lease("orchestrator", 60_000, b"{}", 60_000)))
        request = ClaimRequest("default", "python", 1000)
        claimed = run(claim(keyspace, "orchestrator", [request], {"python": 1000}))
        return [
            Settlement(
                job.id, job.claim_seq, SettleKind.COMPLETE, "default", b'{"ok":true}', ttl_seconds=3600
            )
            for job in claimed.jobs
        ]

    return claim_all


@pytest.fixture
def finish(
    redis_client: Any, keyspace: Keyspace, claim_jobs: Callable[[], list[Settlement]]
) -> Callable[[], list[str]]:
    """Return what completes all due jobs of the default queue with the result ``{"ok": true}``; it returns
    their ids."""

    def finish_all() -> list[str]:
        ends = claim_jobs()
        call = settle(keyspace, "orchestrator", ends)
        redis_client.execute_command(*call.eval_args())
        return [end.job_id for end in ends]

    return finish_all


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """Serve a proxy in front of the session's Redis."""
    with Proxy(redis_url) as made:
        yield made


@pytest.fixture
def commands(redis_client: Any) -> Callable[[], int]:
    """Return what tells how many script calls the server has had."""
    return functools.partial(script_calls, redis_client)


@pytest.fixture
async def aio(proxy: Proxy, keyspace: Keyspace, anyio_backend: str) -> AsyncIterator[AsyncProducer]:
    """Serve a producer behind the proxy, with two connections open."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix) as producer:
        await warm(producer)
        yield producer
