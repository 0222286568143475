"""Names of earlier versions and short forms."""

import pytest

from rrq_protocol import SettingsError
from rrq_protocol.settings import Settings, parse_settings
from rrq_protocol.settings.aliases import KEY_ALIASES
from rrq_protocol.settings.schema import fields_of

RUNNER = {"cmd": ["rrq-runner"]}


def test_old_names_lead_to_keys_of_today() -> None:
    """No alias shadows a key, and each stands for one."""
    assert set(KEY_ALIASES.values()) <= set(fields_of(Settings))
    assert set(KEY_ALIASES).isdisjoint(fields_of(Settings))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"executors": {"python": RUNNER}}, "executors"),
        ({"default_executor_name": "rust"}, "default_executor_name"),
        ({"routing": {"media": "rust"}}, "routing"),
    ],
)
def test_old_names_warn(values: dict[str, object], key: str) -> None:
    """An old name works like the new one and says what to write instead."""
    with pytest.warns(DeprecationWarning, match=rf"rrq\.{key} is an old name, write rrq\.{KEY_ALIASES[key]}"):
        old = parse_settings(values)
    assert old == parse_settings({KEY_ALIASES[key]: values[key]})


def test_old_and_new_name_together() -> None:
    """Two spellings of one key are a problem, not a guess."""
    with pytest.raises(
        SettingsError, match=r"rrq\.routing: is the old name of runner_routes, which is set too"
    ):
        parse_settings({"routing": {"a": "x"}, "runner_routes": {"b": "y"}})


def test_catch_up_is_missed() -> None:
    """The old name of what becomes of missed ticks; both together are a problem."""
    entry = {"function_name": "f", "schedule": "* * * * *", "catch_up": "all"}
    with pytest.warns(DeprecationWarning, match=r"rrq\.cron_jobs\[0\]: catch_up is an old name"):
        (job,) = parse_settings({"cron_jobs": [entry]}).cron_jobs
    assert job.missed == "all"
    with pytest.raises(SettingsError, match="catch_up is the old name of missed, which is set too"):
        parse_settings({"cron_jobs": [{**entry, "missed": "last"}]})


def test_cron_args_become_params() -> None:
    """Positional arguments travel as params.args, named ones as params."""
    entry = {"function_name": "f", "schedule": "* * * * *", "args": [1], "kwargs": {"a": 2}}
    with pytest.warns(DeprecationWarning, match=r"rrq\.cron_jobs\[0\]: args and kwargs are the old form"):
        settings = parse_settings({"cron_jobs": [entry]})
    assert settings.cron_jobs[0].params == {"a": 2, "args": [1]}


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"args": "x"}, r"cron_jobs\[0\].args: expected a list, got str 'x'$"),
        ({"kwargs": [1]}, r"cron_jobs\[0\].kwargs: expected a table, got a list$"),
        ({"args": [1], "params": {}}, "give params only"),
        ({"args": [1], "kwargs": {"args": 1}}, "give params only"),
    ],
)
def test_bad_cron_args(extra: dict[str, object], problem: str) -> None:
    """Old arguments of a wrong type, or next to the new ones, are problems."""
    entry = {"function_name": "f", "schedule": "* * * * *", **extra}
    with pytest.raises(SettingsError, match=problem):
        parse_settings({"cron_jobs": [entry]})


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (True, "127.0.0.1:9464"),
        (False, None),
        ("off", None),
        ("on", "127.0.0.1:9464"),
        ("localhost:0", "localhost:0"),
        ({"address": "[::1]:80"}, "[::1]:80"),
        ({}, None),
    ],
)
def test_http_short_forms(value: object, address: str | None) -> None:
    """http takes a table, an address or a switch."""
    assert parse_settings({"http": value}).http.address == address


@pytest.mark.parametrize(
    ("value", "queues"),
    [
        (["a", "b"], {"a": 1, "b": 1}),
        (["critical=6", "default"], {"critical": 6, "default": 1}),
        ({"critical": 6, "rrq:queue:default": 3}, {"critical": 6, "default": 3}),
    ],
)
def test_worker_queues(value: object, queues: dict[str, int]) -> None:
    """Queues come as a list, with or without weights, or as a table; full keys are shortened."""
    assert parse_settings({"worker": {"queues": value}}).worker.queues == queues


def test_worker_concurrency() -> None:
    """The cap may stand in the worker's table."""
    assert parse_settings({"worker": {"concurrency": 4}}).worker_concurrency == 4
