"""Programs written for the library of the first version, and for the line with executors, run as they are."""

import json
import signal

import pytest

from rrq_protocol import JobStatus
from support.earlier import Shop

OLD = "python -W ignore::DeprecationWarning -m rrq_protocol.old_program"
HANDLERS = """
import asyncio
from rrq.exc import RetryJob

async def my_task(ctx, message: str):
    job_id = ctx['job_id']
    attempt = ctx['job_try']
    await asyncio.sleep(0)
    if attempt < 3 and message == "retry_me":
        raise RetryJob("once more")
    return {"result": f"{message} {attempt}", "id": job_id}
"""
SETUP = """
from rrq.registry import JobRegistry
import handlers

job_registry = JobRegistry()
job_registry.register("process_message", handlers.my_task)
"""
CONFIG = """
from rrq.settings import RRQSettings

rrq_settings = RRQSettings()
elsewhere = RRQSettings(redis_dsn="redis://localhost:6379/1")
"""
WORKER = """
from rrq.worker import RRQWorker
from config import rrq_settings
from main_setup import job_registry

worker = RRQWorker(settings=rrq_settings, job_registry=job_registry)

if __name__ == "__main__":
    worker.run()
"""
ENQUEUE = """
import asyncio
from rrq.client import RRQClient
from config import rrq_settings

async def enqueue_jobs():
    client = RRQClient(settings=rrq_settings)
    await client.enqueue("process_message", "Hello RRQ!")
    await client.enqueue("process_message", "retry_me")
    await client.close()

if __name__ == "__main__":
    asyncio.run(enqueue_jobs())
"""
EXECUTOR = """
import os
from pathlib import Path

from rrq.config import load_toml_settings
from rrq.executor_settings import PythonExecutorSettings
from rrq.registry import JobRegistry

from . import handlers

job_registry = JobRegistry()
job_registry.register("process_message", handlers.my_task)

config_path = Path(os.getenv("RRQ_EXECUTOR_CONFIG", "rrq.toml"))
rrq_settings = load_toml_settings(str(config_path))

python_executor_settings = PythonExecutorSettings(
    rrq_settings=rrq_settings,
    job_registry=job_registry,
)
"""
LATER_ENQUEUE = ENQUEUE.replace(
    "from config import rrq_settings",
    'from rrq.config import load_toml_settings\nrrq_settings = load_toml_settings("rrq.toml")',
)
TOML = """
[rrq]
default_executor_name = "python"

[rrq.executors.python]
type = "{type}"
cmd = ["rrq-executor", "--settings", "myapp.executor_config.python_executor_settings"]
pool_size = 1
"""
DEFER = """
import asyncio
from rrq.client import RRQClient

async def main():
    client = RRQClient()
    for _ in range(3):
        await client.enqueue("process_updates", item_id=123, _unique_key="update:123", _defer_by=10)
    await client.enqueue("rust#send_email", user_id=123)
    await client.close()

asyncio.run(main())
"""
TRACED = """
from importlib.util import find_spec
from rrq.integrations.otel import enable as enable_rrq_otel
from rrq.job import Job, JobStatus

assert JobStatus.PENDING == "PENDING"
# Their libraries need not be there.
assert find_spec("rrq.integrations.ddtrace") and find_spec("rrq.integrations.logfire")
enable_rrq_otel(service_name="myapp-rrq")
"""


def _answers(shop: Shop) -> list[str]:
    done = shop.wait_until(JobStatus.COMPLETED, 2)
    return sorted(json.loads(job.result or "null")["result"] for job in done)


def test_the_first_library(shop: Shop) -> None:
    """Handlers, registry, settings, producer and worker of the first library: the jobs run, one of them in
    its third attempt, and SIGTERM ends the worker well.
    """
    for name, text in (
        ("handlers.py", HANDLERS),
        ("main_setup.py", SETUP),
        ("config.py", CONFIG),
        ("worker_script.py", WORKER),
        ("enqueue_script.py", ENQUEUE),
    ):
        shop.write(name, text)
    shop.environment |= {
        "RRQ_DEFAULT_QUEUE_NAME": "messages",
        "RRQ_DEFAULT_MAX_RETRIES": "4",
        "RRQ_DEFAULT_JOB_TIMEOUT_SECONDS": "30",
        "RRQ_WORKER_CONCURRENCY": "3",
    }
    shop.run(f"{OLD} enqueue_script.py")
    with shop.running(f"{OLD} worker_script.py"):
        assert _answers(shop) == ["Hello RRQ! 1", "retry_me 3"]
    (job, _) = shop.jobs()
    assert (job.queue_name, job.max_retries, job.job_timeout_seconds) == (shop.keys.queue("messages"), 4, 30)


@pytest.mark.parametrize("kind", ["stdio", "socket"])
def test_executors(kind: str, shop: Shop) -> None:
    """``rrq.toml`` with executors, ``rrq-executor`` with its settings object by dots, and a producer that
    reads the same file; ``rrq worker run --config``.
    """
    shop.write("myapp/__init__.py", "")
    shop.write("myapp/handlers.py", HANDLERS)
    shop.write("myapp/executor_config.py", EXECUTOR)
    shop.write("rrq.toml", TOML.format(type=kind))
    shop.write("enqueue_script.py", LATER_ENQUEUE)
    shop.run(f"{OLD} enqueue_script.py")
    with shop.running("rrq worker run --config rrq.toml", stop=signal.SIGINT):
        assert _answers(shop) == ["Hello RRQ! 1", "retry_me 3"]


def test_worker_run_with_settings(shop: Shop) -> None:
    """``rrq worker run --burst --settings``, with the handlers by dots, works everything off and ends."""
    shop.write("myapp/__init__.py", "")
    shop.write("myapp/handlers.py", HANDLERS)
    shop.write("myapp/executor_config.py", EXECUTOR)
    shop.write("rrq.toml", "[rrq]\n")
    shop.write(
        "enqueue_script.py",
        LATER_ENQUEUE.replace('client.enqueue("process_message", "retry_me")', "asyncio.sleep(0)"),
    )
    shop.run(f"{OLD} enqueue_script.py")
    shop.run("rrq worker run --burst --settings myapp.executor_config.python_executor_settings")
    assert [job.status for job in shop.jobs()] == [JobStatus.COMPLETED]


FIRST = """
from rrq.exc import RetryJob
from rrq.registry import JobRegistry
from rrq.settings import RRQSettings

async def process_message(ctx, message: str):
    return {"result": f"{message} {ctx['started']} {ctx['rrq_settings'].default_max_retries}"}

async def on_startup(ctx):
    ctx["started"] = "started"

job_registry = JobRegistry()
job_registry.register("process_message", process_message)
rrq_settings = RRQSettings(
    job_registry=job_registry, on_startup=on_startup, redis_dsn="URL", default_max_retries=7
)
"""


@pytest.mark.parametrize(
    ("line", "stop"),
    [
        ("rrq worker run --burst --settings myapp.worker_config.rrq_settings", None),
        ("rrq worker watch --path . --settings myapp.worker_config.rrq_settings", signal.SIGINT),
    ],
)
def test_settings_with_handlers(line: str, stop: signal.Signals | None, shop: Shop) -> None:
    """`RRQSettings(job_registry=…, on_startup=…)` is what `--settings` names in the first library: its
    handlers run, at the Redis that it names, whatever the environment says; `rrq check` takes it too.
    """
    shop.write("myapp/__init__.py", "")
    shop.write("myapp/worker_config.py", FIRST.replace("URL", shop.url))
    shop.write("enqueue_script.py", ENQUEUE.replace("from config", "from myapp.worker_config"))
    shop.environment["RRQ_REDIS_DSN"] = "redis://127.0.0.1:1/0"
    shop.run(f"{OLD} enqueue_script.py")
    if stop is None:
        shop.run(line)
        assert "no live orchestrator" in shop.run("rrq check --settings myapp.worker_config.rrq_settings", 1)
    else:
        with shop.running(line, stop=stop):
            shop.wait_until(JobStatus.COMPLETED, 2)
    assert _answers(shop) == ["Hello RRQ! started 7", "retry_me started 7"]


def test_options_of_enqueue(shop: Shop) -> None:
    """A unique key with a deferral makes one job of many calls; a prefix names the runner."""
    shop.write("script.py", DEFER)
    shop.run(f"{OLD} script.py")
    (unique, other) = shop.jobs()
    assert (unique.function_name, unique.job_unique_key) == ("process_updates", "update:123")
    assert json.loads(unique.params) == {"item_id": 123}
    assert other.function_name == "rust#send_email"


def test_integrations(shop: Shop) -> None:
    """The three integrations and the job module are found under their earlier names."""
    shop.write("script.py", TRACED)
    shop.environment["OTEL_TRACES_EXPORTER"] = "none"
    shop.run(f"{OLD} script.py")
