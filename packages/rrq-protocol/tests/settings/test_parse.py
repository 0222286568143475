"""Plain data becomes checked settings, or one error with every problem."""

import warnings
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol import SettingsError
from rrq_protocol.settings import RunnerConfig, Settings, parse_settings
from rrq_protocol.settings.parse import layer, parse_tree
from rrq_protocol.settings.schema import fields_of
from rrq_protocol.settings.tree import OVERRIDE, Origin


def test_nothing_given_is_the_defaults() -> None:
    """Without any value every field has its default."""
    settings = parse_settings({})
    assert all(getattr(settings, name) == field.default for name, field in fields_of(Settings).items())
    assert settings.provenance.given == frozenset()


def test_values_arrive() -> None:
    """Durations, sizes, tables and lists of the public reference."""
    settings = parse_settings(
        {
            "default_job_timeout_seconds": "5m",
            "base_retry_delay_seconds": timedelta(seconds=2),
            "max_payload_bytes": "2MiB",
            "runners": {"python": {"type": "socket", "cmd": ["rrq-runner"], "tcp_port": 9000}},
            "runner_routes": {"rrq:queue:media": "python"},
            "cron_jobs": [{"function_name": "f", "schedule": "0 * * * * *", "params": {"a": {"b": [1]}}}],
            "watch": {"include_patterns": ["*.rs"]},
        }
    )
    assert settings.default_job_timeout_seconds == 300
    assert settings.base_retry_delay_seconds == 2
    assert settings.max_payload_bytes == 2**21
    assert settings.runners == {"python": RunnerConfig(mode="managed", cmd=("rrq-runner",), tcp_port=9000)}
    assert settings.runner_routes == {"media": "python"}
    assert settings.cron_jobs[0].params == {"a": {"b": [1]}}
    assert settings.watch.include_patterns == ("*.rs",)


def test_all_problems_at_once() -> None:
    """One run tells everything: wrong types, ranges, unknown keys and broken rules."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(
            {
                "retry_dely": 1,
                "lease_seconds": 4,
                "pool_size": 3,
                "job_events": "yes",
                "runners": {"python": {"pool_size": 0}, "rust": {}},
                "cron_jobs": [{"schedule": "* * *"}],
            }
        )
    starts = [
        'rrq.retry_dely: unknown key, did you mean "max_retry_delay_seconds"?',
        "rrq.pool_size: unknown key; it belongs in rrq.runners.<name>",
        "rrq.runners.python.pool_size: expected int >= 1, got 0",
        "rrq.cron_jobs[0].function_name: is required: expected a function name",
        "rrq.job_events: expected bool, got str 'yes'",
        "rrq.lease_seconds: expected more than 3 × lease_beat_seconds (> 6), got 4",
        'rrq.runners.rust.app: set app = "pkg.module:attribute" or cmd = ["program", …]',
        "rrq.cron_jobs[0].schedule: expected 5 fields, or 6 with seconds first, got '* * *'",
    ]
    problems = caught.value.problems
    assert [problem[: len(start)] for problem, start in zip(problems, starts, strict=True)] == starts
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_runner_mode_is_inherited() -> None:
    """A runner without a mode has the general one; its own wins."""
    address = {"tcp_socket": "localhost:9000"}
    settings = parse_settings(
        {
            "runner_management_mode": "external",
            "default_runner_name": "a",
            "runners": {"a": address, "b": {"mode": "managed", "app": "m:x"}},
        }
    )
    assert [runner.mode for runner in settings.runners.values()] == ["external", "managed"]


def test_origins_of_every_key() -> None:
    """Every key has an origin; what nobody set has the default's."""
    place = Origin("file", "rrq.toml:1")
    table, problems = layer({"max_crashes": 5, "runners": {"python": {"app": "m:x"}}}, place)
    settings, origins = parse_tree(table, config_file=None, problems=problems)
    assert origins["max_crashes"] == origins["runners.python.app"] == place
    assert str(origins["lease_seconds"]) == str(origins["runners.python.pool_size"]) == "default"
    assert settings.provenance.given == frozenset({"max_crashes", "runners"})


def test_earlier_problems_are_reported_too() -> None:
    """What a source found wrong comes first, together with the rest."""
    table, _ = layer({"lease_seconds": 0}, OVERRIDE)
    with pytest.raises(SettingsError) as caught:
        parse_tree(table, config_file=None, problems=["first"])
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0] == "first"


def test_none_means_not_given() -> None:
    """A command line hands over its options as they are, given or not."""
    assert (
        parse_settings(
            {"lease_seconds": None, "runners": {"python": {"app": "m:x", "cmd": None}}}
        ).lease_seconds
        == 10
    )


def test_no_password_in_any_problem() -> None:
    """A DSN of the wrong type or form never shows up in the error (S8)."""
    for dsn in (
        "redis://u:canary@h:port/0",
        "http://u:canary@h",
        "canary",
        ["canary"],
        "redis://u:canary\n@h",
    ):
        with pytest.raises(SettingsError) as caught:
            parse_settings({"redis_dsn": dsn})
        assert "canary" not in str(caught.value)


_keys = st.one_of(
    st.sampled_from(
        [
            *fields_of(Settings),
            *fields_of(RunnerConfig),
            "executors",
            "python",
            "queues",
            "address",
            "args",
            "x",
        ]
    ),
    st.text(max_size=8),
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.binary(max_size=4),
    st.timedeltas(),
    st.sampled_from(["5m", "embedded://", "redis://[", "a:b", "localhost:1", 10**400, "*=2"]),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_keys, _values, max_size=6))
def test_any_data_is_settings_or_a_settings_error(values: dict[str, object]) -> None:
    """Nothing but SettingsError ever comes out, and its text is fit for a terminal (F99, G15)."""
    problems: tuple[str, ...] = ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            assert repr(parse_settings(values)).startswith("Settings(")
        except SettingsError as error:
            problems = error.problems
            text = str(error)
        else:
            text = ""
    assert bool(problems) == bool(text)
    assert all(problem.isprintable() for problem in problems)
