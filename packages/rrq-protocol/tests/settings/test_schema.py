"""The model read as a schema."""

import pytest

from rrq_protocol.settings import CronJob, RunnerConfig, Settings
from rrq_protocol.settings.schema import environment_name, expected, fields_of, spec_at


def test_every_field_is_described() -> None:
    """No key comes without a meaning, and the provenance is no key."""
    for struct in (Settings, RunnerConfig, CronJob):
        assert all(field.description for field in fields_of(struct).values())
    assert "provenance" not in fields_of(Settings)


def test_required_and_default() -> None:
    """Required keys and worded defaults are told apart from plain defaults."""
    fields = fields_of(CronJob)
    assert fields["function_name"].required
    assert not fields["unique"].required
    assert fields_of(RunnerConfig)["pool_size"].default_text == "CPU count"
    assert fields_of(Settings)["max_crashes"].default == 3


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("runners.python.pool_size", "int >= 1"),
        ("runners.python.tcp_port", "int >= 0 and <= 65535"),
        ("timeout_policy", 'one of "dlq", "retry"'),
        ("lease_seconds", 'a duration > 0 (seconds, or "90s", "5m", "2h")'),
        ("max_payload_bytes", 'a size >= 1 and <= 16777216 (bytes, or "64KiB", "512MiB")'),
        ("runners.python.cmd", "a list of str"),
        ("correlation_mappings", "a table of str"),
        ("watch", "a table"),
        ("redis_dsn", "str"),
        ("job_events", "bool"),
    ],
)
def test_expected(path: str, words: str) -> None:
    """What a value must be is said in the words of the file."""
    spec = spec_at(tuple(path.split(".")))
    assert spec is not None
    assert expected(spec) == words


def test_spec_at_unknown_path() -> None:
    """A path the model does not have has no specification."""
    assert spec_at(("nonsense",)) is None
    assert spec_at(("lease_seconds", "x")) is None


def test_environment_name() -> None:
    """Nested keys are joined with two underscores."""
    assert environment_name(("runners", "my-py", "pool_size")) == "RRQ_RUNNERS__MY_PY__POOL_SIZE"
