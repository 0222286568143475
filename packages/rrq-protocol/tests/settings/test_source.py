"""Where settings come from and which source wins."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from rrq_protocol import SettingsError
from rrq_protocol.settings import Secret, Settings, load_settings, load_settings_with_origins
from support.tls import Certificates


def _write(folder: Path, text: str, name: str = "rrq.toml") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def _problems(**sources: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**sources)
    return caught.value.problems


def test_precedence(tmp_path: Path) -> None:
    """Command line, environment, file, default: the first that has a value wins, key by key."""
    _write(tmp_path, "[rrq]\nmax_crashes = 2\nlease_seconds = 20\nkey_prefix = 'file'\n")
    settings, origins = load_settings_with_origins(
        environ={"RRQ_MAX_CRASHES": "3", "RRQ_LEASE_SECONDS": "30s"},
        overrides={"max_crashes": 4},
        cwd=tmp_path,
    )
    assert (settings.max_crashes, settings.lease_seconds, settings.key_prefix) == (4, 30, "file")
    assert settings.lease_beat_seconds == 2
    shown = {
        key: str(origins[key]) for key in ("max_crashes", "lease_seconds", "key_prefix", "lease_beat_seconds")
    }
    assert shown == {
        "max_crashes": "command line",
        "lease_seconds": "RRQ_LEASE_SECONDS",
        "key_prefix": "rrq.toml:4",
        "lease_beat_seconds": "default",
    }


def test_nested_values_are_merged(tmp_path: Path) -> None:
    """One runner may be put together from file, environment and command line."""
    _write(
        tmp_path, '[rrq.runners.my-py]\napp = "m:x"\npool_size = 1\n[rrq]\ndefault_runner_name = "my-py"\n'
    )
    settings = load_settings(
        environ={"RRQ_RUNNERS__MY_PY__POOL_SIZE": "2", "RRQ_RUNNERS__MY_PY__ENV__A_B": "c"},
        overrides={"runners.my-py.max_jobs": 9, "runners": {"my-py": {"max_age": "1h"}}},
        cwd=tmp_path,
    )
    runner = settings.runners["my-py"]
    assert (runner.app, runner.pool_size, runner.env, runner.max_age) == ("m:x", 2, {"A_B": "c"}, 3600)


def test_without_any_source(tmp_path: Path) -> None:
    """No file, no environment: the defaults, and the provenance says so."""
    settings = load_settings(environ={}, cwd=tmp_path)
    assert settings.redis_dsn == Settings().redis_dsn
    assert settings.provenance.config_file is None
    assert settings.provenance.given == frozenset()


def test_named_file(tmp_path: Path) -> None:
    """RRQ_CONFIG names the file, the argument wins, and a named file must exist."""
    _write(tmp_path, "max_crashes = 7", "a.toml")
    path = _write(tmp_path, "max_crashes = 8", "b.toml")
    environ = {"RRQ_CONFIG": "a.toml"}
    assert load_settings(environ=environ, cwd=tmp_path).max_crashes == 7
    settings = load_settings(path, environ=environ, cwd=tmp_path)
    assert settings.max_crashes == 8
    assert settings.provenance.config_file == str(path)
    (problem,) = _problems(environ={"RRQ_CONFIG": "c.toml"}, cwd=tmp_path)
    said = f"{tmp_path / 'c.toml'}: no such file, though RRQ_CONFIG names it; create it, or name another"
    assert problem == said


def test_old_name_of_the_config_variable(tmp_path: Path) -> None:
    """RRQ_EXECUTOR_CONFIG still names the file, with a warning."""
    _write(tmp_path, "max_crashes = 7", "a.toml")
    with pytest.warns(DeprecationWarning, match="RRQ_EXECUTOR_CONFIG is an old name, set RRQ_CONFIG"):
        settings = load_settings(environ={"RRQ_EXECUTOR_CONFIG": "a.toml"}, cwd=tmp_path)
    assert settings.max_crashes == 7


def test_old_names_in_every_source(tmp_path: Path) -> None:
    """The seeds' file and old variables work together with new names elsewhere."""
    _write(
        tmp_path,
        '[rrq]\nredis_dsn = "redis://localhost:6379/1"\ndefault_executor_name = "python"\n'
        '[rrq.executors.python]\ntype = "stdio"\ncmd = ["rrq-executor", "--settings", "myapp.x"]\n'
        '[rrq.routing]\nmedia = "python"\n',
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings = load_settings(environ={"RRQ_EXECUTORS__PYTHON__POOL_SIZE": "3"}, cwd=tmp_path)
    assert {entry.category for entry in caught} == {DeprecationWarning}
    assert len(caught) == 4
    runner = settings.runners["python"]
    assert (runner.type, runner.pool_size, settings.runner_routes) == ("stdio", 3, {"media": "python"})


def test_problems_of_all_sources_name_their_place(tmp_path: Path) -> None:
    """File and line, or the variable, stand behind each problem (F99)."""
    _write(tmp_path, "[rrq]\n\nretry_dely = 1\n[rrq.runners.python]\npool_size = 0\n")
    problems = _problems(environ={"RRQ_MAX_CRASHES": "many", "RRQ_REDIS_DNS": "x"}, cwd=tmp_path)
    assert problems == (
        "RRQ_REDIS_DNS: unknown variable, did you mean RRQ_REDIS_DSN?",
        'rrq.retry_dely: unknown key, did you mean "max_retry_delay_seconds"? (rrq.toml:3)',
        "rrq.max_crashes: expected int >= 1, got str 'many' (RRQ_MAX_CRASHES)",
        "rrq.runners.python.pool_size: expected int >= 1, got 0 (rrq.toml:5)",
    )


def test_dotenv_fills_gaps(tmp_path: Path) -> None:
    """.env is read where python-dotenv is installed; the system's environment wins over it."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text("RRQ_MAX_CRASHES=6\nRRQ_LEASE_SECONDS=60\nRRQ_CONFIG=a.toml\n")
    _write(tmp_path, "key_prefix = 'a'", "a.toml")
    settings, origins = load_settings_with_origins(environ={"RRQ_LEASE_SECONDS": "70"}, cwd=tmp_path)
    assert (settings.max_crashes, settings.lease_seconds, settings.key_prefix) == (6, 70, "a")
    assert str(origins["max_crashes"]) == "RRQ_MAX_CRASHES in .env"


def test_dsn_from_a_file(tmp_path: Path) -> None:
    """The DSN may stand in a file of its own, named relative to the configuration; a higher source wins."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    (folder / "dsn").write_text("redis://u:canary@h/3\n")
    config = _write(folder, 'redis_dsn_file = "dsn"')
    settings = load_settings(config, environ={}, cwd=tmp_path)
    assert settings.redis_dsn == Secret("redis://u:canary@h/3")
    assert settings.provenance.given == frozenset({"redis_dsn", "redis_dsn_file"})
    assert load_settings(config, environ={"RRQ_REDIS_DSN": "redis://x"}, cwd=tmp_path).redis_dsn == Secret(
        "redis://x"
    )
    _write(folder, 'redis_dsn = "redis://file"')
    environ = {"RRQ_REDIS_DSN_FILE": "etc/dsn"}
    assert load_settings(config, environ=environ, cwd=tmp_path).redis_dsn == Secret("redis://u:canary@h/3")


def test_bad_dsn_files(tmp_path: Path) -> None:
    """A missing or empty file, or two DSNs from one source, are problems that show no secret."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "odd").write_text("canary canary")
    for environ, problem in [
        ({"RRQ_REDIS_DSN_FILE": "missing"}, "cannot be read: No such file"),
        ({"RRQ_REDIS_DSN_FILE": "empty"}, "is empty"),
        ({"RRQ_REDIS_DSN_FILE": "odd"}, "expected one of redis://"),
        (
            {"RRQ_REDIS_DSN_FILE": "odd", "RRQ_REDIS_DSN": "redis://canary:canary@h"},
            "set together with redis_dsn",
        ),
    ]:
        problems = _problems(environ=environ, cwd=tmp_path)
        assert len(problems) == 1 or "set together" in problems[0]
        assert problem in problems[0]
        assert "canary" not in str(problems)


def test_insecure_file_can_be_allowed(tmp_path: Path) -> None:
    """The refusal of a file everyone can change can be switched off for mounts without permissions."""
    _write(tmp_path, "max_crashes = 7").chmod(0o666)
    assert "any user can change" in _problems(environ={}, cwd=tmp_path)[0]
    settings = load_settings(environ={"RRQ_ALLOW_INSECURE_CONFIG": "1"}, cwd=tmp_path)
    assert settings.max_crashes == 7


def test_python_values_as_overrides() -> None:
    """Overrides may be what a command line parser or other code hands over."""
    settings = load_settings(
        environ={},
        overrides={"worker.queues": ("critical=6", "low"), "lease_seconds": None},
        cwd="/nonexistent",
    )
    assert settings.worker.queues == {"critical": 6, "low": 1}


def test_certificates_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    """Paths of certificates start where their source is, and are absolute afterwards."""
    folder = tmp_path / "etc"
    folder.mkdir()
    Certificates(folder)
    text = "redis_dsn = 'rediss://h'\nredis_tls_ca_file = 'ca.pem'\n"
    settings = load_settings(_write(folder, text), environ={}, cwd=tmp_path)
    assert settings.redis_tls_ca_file == str(folder / "ca.pem")


def test_bad_certificates(tmp_path: Path) -> None:
    """A file that is missing, or holds no certificate, is a problem at the start, not at the connection."""
    (tmp_path / "empty").touch()
    problems = _problems(
        environ={
            "RRQ_REDIS_DSN": "rediss://h",
            "RRQ_REDIS_TLS_CA_FILE": "empty",
            "RRQ_REDIS_TLS_CERT_FILE": "gone",
        },
        cwd=tmp_path,
    )
    assert "rrq.redis_tls_ca_file:" in problems[0]
    assert "PEM" in problems[0]
    assert "rrq.redis_tls_cert_file:" in problems[1]
    assert "No such file" in problems[1]


def test_the_file_of_the_dsn_is_remembered(tmp_path: Path) -> None:
    """So that it can be read again; not where a higher source gave the DSN."""
    (tmp_path / "dsn").write_text("redis://h")
    (tmp_path / "dsn").chmod(0o600)
    variables = {"RRQ_REDIS_DSN_FILE": "dsn"}
    settings, origins = load_settings_with_origins(environ=variables, cwd=tmp_path)
    assert settings.provenance.dsn_file == str(tmp_path / "dsn")
    assert str(tmp_path / "dsn") in str(origins["redis_dsn"])
    other = load_settings(environ=variables, overrides={"redis_dsn": "redis://other"}, cwd=tmp_path)
    assert other.provenance.dsn_file is None
