"""The commands that the documents of earlier versions show, typed as they stand there."""

import signal

import pytest

from rrq_protocol import JobStatus
from support.earlier import Shop

# That names are old is told, and this is about old names.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = """
from rrq.executor_settings import PythonExecutorSettings
from rrq.registry import JobRegistry
from rrq.settings import RRQSettings

async def send_email(ctx, to: str = "somebody"):
    if ctx["job_id"].startswith("bad"):
        raise ValueError("no such address")
    return to

job_registry = JobRegistry()
job_registry.register("send_email", send_email)
job_registry.register("process_data", send_email)
rrq_settings = PythonExecutorSettings(rrq_settings=RRQSettings(), job_registry=job_registry)
"""
TOML = """
[rrq]
default_executor_name = "python"
default_max_retries = 1
capture_executor_output = true

[rrq.executors.python]
type = "socket"
cmd = ["rrq-executor", "--settings", "myapp.worker_config.rrq_settings"]

[rrq.executors.rust]
type = "stdio"
cmd = ["rrq-executor", "--stdio", "--settings", "myapp.worker_config.rrq_settings"]
pool_size = 1

[rrq.routing]
media = "rust"

[rrq.watch]
path = "."
include_patterns = ["*.py", "*.toml"]
ignore_patterns = [".venv/**", "dist/**"]
no_gitignore = false

[[rrq.cron_jobs]]
function_name = "send_email"
schedule = "0 2 * * *"
args = ["temp_files"]
kwargs = { max_age_days = 7 }
unique = true
"""
SETTINGS = "--settings myapp.worker_config.rrq_settings"

# With the exit code where it is not 0; in order, as some change what others show.
COMMANDS = (
    ("rrq --help", 0),
    ("rrq queue list", 0),
    ("rrq queue list --config rrq.toml", 0),
    ("rrq queue stats", 0),
    ("rrq queue stats --max-scan 500", 0),
    ("rrq queue stats --max-scan 0", 0),
    ("rrq job list", 0),
    ("rrq job list --status failed", 0),
    ("rrq job show bad_1", 0),
    ("rrq job trace bad_1", 0),
    ("rrq job replay bad_1", 0),
    ("rrq dlq stats", 0),
    ("rrq dlq list --queue urgent --limit 10", 0),
    ("rrq dlq list --function send_email", 0),
    ("rrq dlq list --function send_email --limit 20", 0),
    ("rrq dlq list --queue urgent --function process_data", 0),
    ("rrq dlq list --batch-size 50", 0),
    ("rrq dlq list --batch-size 200", 0),
    ("rrq dlq inspect bad_1", 0),
    ("rrq dlq requeue --queue urgent --dry-run", 0),
    ("rrq dlq requeue --job-id bad_1 --target-queue retry_queue", 0),
    ("rrq dlq requeue --queue urgent --limit 5", 0),
    ("rrq dlq requeue --queue urgent --all", 1),  # nothing is left of it
    ("rrq dlq requeue --function send_email --limit 10", 0),
    ("rrq dlq requeue --function send_email --all", 1),
    ("rrq debug generate-jobs --count 100 --queue urgent", 0),
    ("rrq queue inspect urgent --limit 10", 0),
    ("rrq debug generate-workers --count 2 --duration 0.2", 0),
    ("rrq debug submit send_email", 0),
    ("rrq debug stress-test --jobs-per-second 10 --duration 0.3", 0),
    ("rrq debug clear --yes", 0),
    ("rrq job cancel waiting_1", 0),
    (f"rrq check {SETTINGS}", 1),  # nobody is there any more
)


@pytest.fixture
def myapp(shop: Shop) -> Shop:
    """Return the shop with a program and its settings."""
    shop.write("myapp/__init__.py", "")
    shop.write("myapp/worker_config.py", CONFIG)
    shop.write("rrq.toml", TOML)
    return shop


def test_commands_as_they_were_written(myapp: Shop) -> None:
    """Every command line is understood and does something. There are dead letters, and a job that waits."""
    for job_id, function, queue in (
        ("bad_1", "send_email", "urgent"),
        ("bad_2", "process_data", "urgent"),
        ("bad_3", "send_email", "default"),
    ):
        myapp.call(f"rrq debug submit {function} --job-id {job_id} --queue {queue}")
    with myapp.running("rrq worker run --config rrq.toml --queue urgent --queue default"):
        myapp.wait_until(JobStatus.FAILED, 3)
        myapp.run(f"rrq check {SETTINGS}")
    myapp.call("rrq debug submit send_email --job-id waiting_1 --defer 1h")
    for line, code in COMMANDS:
        myapp.call(line, code)
    for launcher in ("rrq-executor", "rrq executor python"):
        myapp.run(f"{launcher} {SETTINGS}")  # nobody speaks to it, and its input ends


def test_watching(myapp: Shop) -> None:
    """``rrq worker watch --path DIRECTORY --settings PATH`` serves the handlers until Ctrl-C, whatever the
    file has as the command of that runner.
    """
    myapp.call("rrq debug submit send_email --job-id good_1")
    with myapp.running(f"rrq worker watch --path . {SETTINGS}", stop=signal.SIGINT):
        myapp.wait_until(JobStatus.COMPLETED, 1)
