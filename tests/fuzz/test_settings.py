"""Settings from any file, environment and command line (RELIABILITY.md G15, S8).

An input is an object: ``toml`` is the file's text, ``env`` the environment, ``overrides`` the command line;
texts that start with ``$:`` are values that JSON has not.
"""

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from rrq_protocol import Keyspace, SettingsError
from rrq_protocol.settings import (
    Settings,
    load_settings_with_origins,
    mask_url,
    parse_duration,
    parse_settings,
    parse_size,
    resolve_redis,
)
from rrq_protocol.settings.aliases import KEY_ALIASES
from rrq_protocol.settings.tables import CronJob, HttpConfig, RunnerConfig, WatchConfig, WorkerConfig
from support.fuzzing import Fuzz, Tree
from support.fuzzing.text import check_one_line

SHARE = 1 / 30  # 10,000 of 300,000
SECRETS_SHARE = 1 / 100
STRUCTS = (Settings, RunnerConfig, CronJob, WatchConfig, HttpConfig, WorkerConfig)
KEYS = sorted({name for struct in STRUCTS for name in struct.__struct_fields__} | set(KEY_ALIASES))
VALUES = (
    "[rrq]", "[rrq.runners.python]", "[[rrq.cron_jobs]]", "[rrq.worker.queues]", "[rrq.http]", "=", '""',
    "''", '"""', "'''", "{}", "[]", "true", "false", "1", "0", "-1", "1e3", "inf", "nan", "0x10", "1_000",
    "1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", '"5m"', '"1h30m"', '"64 KiB"',
    '"redis://localhost:6379/0"', '"embedded://.rrq"', '"unix:///tmp/s"', '"rediss://u:p@h:1/2"',
    '"127.0.0.1:0"', '"[::1]:9000"', '"0.0.0.0:1"', '"pkg.mod:app"', '["python", "-m", "x"]', '"* * * * *"',
    '"@hourly"', '"a.b"', "#", "\\u0000", "\\ud800", "\\U00110000", "$:nan", "$:inf", "$:huge", "$:delta",
    "$:bytes", "$:surrogate", "$:set", "$:date", "5m", "64KiB", "on", "off", "a=6,b", "a,b", "python",
    "default", "socket", "stdio", "external", "managed", "[", "{", '{"a": 1}', "RRQ_CONFIG", "RRQ_REDIS_DSN",
    "RRQ_RUNNERS__PYTHON__ENV__X", "RRQ_RUNNERS__MY_RUNNER__POOL_SIZE", "RRQ_HTTP", "RRQ_CRON_JOBS",
    "RRQ_WORKER__QUEUES", "RRQ__", "RRQ_", "RRQ_RUNNERS__", "RRQ_REDIS_DSM", "RRQ_ALLOW_INSECURE_CONFIG",
    "rrq.toml",
)  # fmt: skip
TOKENS = [each.encode() for each in (*KEYS, *(f"RRQ_{key.upper()}" for key in KEYS), *VALUES)]
SPECIAL: Mapping[str, Any] = {
    "$:nan": float("nan"),
    "$:inf": float("-inf"),
    "$:huge": 10**5000,
    "$:delta": timedelta.max,
    "$:bytes": b"\xff",
    "$:surrogate": "\ud800",
    "$:set": {1},
    "$:date": [date.min, time.max, datetime.max.replace(tzinfo=UTC)],
}
MARK = "s3cr3t-m4rk"
PLACES = ("env", "toml", "overrides", "private", "private env")
SECRET_TOKENS = (
    b"redis://", b"rediss://", b"unix://", b"embedded://", b":", b"@", b"/", b"?", b"#", b"[", b"%40",
    b"user", b"6379",
)  # fmt: skip


def value_of(tree: Any) -> Any:
    """Return what stands for ``tree`` on the command line."""
    if isinstance(tree, dict):
        return {name: value_of(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [value_of(value) for value in tree]
    return SPECIAL.get(tree, tree) if isinstance(tree, str) else tree


class Folder:
    """A folder that settings are read in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, case: Any) -> tuple[Settings, Any] | SettingsError:
        """Read an input's settings; a refusal is returned."""
        case = case if isinstance(case, dict) else {}
        text, overrides, env = (case.get(name) for name in ("toml", "overrides", "env"))
        file = self.path / "rrq.toml"
        file.unlink(missing_ok=True)
        if isinstance(text, str):
            file.write_bytes(text.encode(errors="surrogatepass"))
        environ = {
            name: value
            for name, value in (env.items() if isinstance(env, dict) else ())
            if isinstance(value, str)
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old names are warned of
            try:
                return load_settings_with_origins(
                    environ=environ,
                    overrides=value_of(overrides) if isinstance(overrides, dict) else {},
                    cwd=self.path,
                )
            except SettingsError as error:
                return error

    def check(self, case: Any) -> Iterable[Hashable]:
        """Settings are refused with one line per problem, or are usable."""
        found = self.load(case)
        if isinstance(found, SettingsError):
            assert found.problems
            for problem in found.problems:
                check_one_line(problem)
            return [_words(problem) for problem in found.problems]
        settings, origins = found
        Keyspace(settings.key_prefix)
        for text in texts(settings):
            text.encode()
        target = resolve_redis(settings, cwd=self.path)
        assert (target.url is None) == (target.problem is not None)
        return ["right", *(key for key, origin in origins.items() if origin.kind != "default")]


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in settings, all but the params of cron jobs, which are any data."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in ("params", "provenance"):
                yield from texts(getattr(value, name))
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(pair)
    elif isinstance(value, tuple):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


_NO_DIGITS = str.maketrans("", "", "0123456789")


def _words(problem: str) -> str:
    """Return the part of a problem that does not quote the input."""
    _, _, text = problem.partition(": ")
    return text.partition(", got ")[0].partition(" (")[0][:60].translate(_NO_DIGITS)


def test_any_settings_are_read_or_refused_line_by_line(fuzz: Fuzz, tmp_path: Path) -> None:
    """Whatever file, environment and command line hold: the only error is SettingsError, with one printable
    line per problem; settings that pass can be used.
    """
    report = fuzz.run("settings", Tree(TOKENS), Folder(tmp_path).check, share=SHARE)
    if fuzz.only is None:
        assert "right" in report.outcomes
        assert len(report.outcomes) > 100


def _secret_case(case: Any) -> tuple[str, Any] | None:
    """Return the DSN of an input with the password's text in its place, and where to put it."""
    if not isinstance(case, dict):
        return None
    before, after, place = (str(case.get(name, "")) for name in ("before", "after", "place"))
    dsn = before + MARK + after
    given: dict[str, dict[str, Any]] = {
        "env": {"env": {"RRQ_REDIS_DSN": dsn}},
        "toml": {"toml": "[rrq]\nredis_dsn = " + msgspec.json.encode(_printable(dsn)).decode()},
        "private": {
            "overrides": {"runners": {"python": {"app": "a:b", "env": _secret_tree(case.get("env"))}}}
        },
        "private env": {"env": {"RRQ_RUNNERS__PYTHON__ENV": before + MARK + after}},
    }
    return dsn, given.get(place, {"overrides": {"redis_dsn": dsn}})


def _secret_tree(tree: Any) -> Any:
    """Put the secret where a tree has texts."""
    if isinstance(tree, dict):
        return {name: _secret_tree(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_secret_tree(value) for value in tree]
    return tree + MARK if isinstance(tree, str) else tree


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()


def test_no_problem_and_no_settings_show_a_secret(fuzz: Fuzz, tmp_path: Path) -> None:
    """A password in a DSN, right or wrong, and the value of a runner's variable, of any type, are in no
    problem, in no representation and in no address that is shown (S8).
    """
    folder = Folder(tmp_path)

    def check(case: Any) -> Iterable[Hashable]:
        made = _secret_case(case)
        if made is None:
            return ["no case"]
        dsn, given = made
        private = case.get("place") in ("private", "private env")
        # A password is what stands between the first colon and the last @ of what follows the scheme.
        scheme, _, rest = dsn.partition("://")
        user_info, at, _ = rest.rpartition("@")
        # What follows embedded:// is the name of a folder.
        has_password = at and MARK in user_info.partition(":")[2] and scheme != "embedded"
        if not private and not has_password:
            return ["no password"]
        found = folder.load(given)
        if isinstance(found, SettingsError):
            assert MARK not in str(found)
            kind = "refused"
        else:
            settings, _ = found
            assert MARK not in repr(settings.redis_dsn) + str(settings.redis_dsn)
            assert MARK not in resolve_redis(settings, cwd=tmp_path).display
            kind = "right"
        assert private or MARK not in mask_url(dsn)
        return [(case["place"] if case.get("place") in PLACES else "", kind)]

    report = fuzz.run("secrets", Tree(SECRET_TOKENS), check, share=SECRETS_SHARE)
    if fuzz.only is None:
        assert {(place, kind) for place in PLACES[:3] for kind in ("right", "refused")} <= set(
            report.outcomes
        )


def test_values_of_one_setting_never_raise(fuzz: Fuzz) -> None:
    """Durations and sizes are read or are none, and settings of plain data of any form are refused the same
    way as those of a file.
    """

    def check(case: Any) -> Iterable[Hashable]:
        text = case if isinstance(case, str) else str(case)
        seconds, size = parse_duration(text), parse_size(text)
        assert seconds is None or seconds >= 0
        assert size is None or size >= 0
        found: list[Hashable] = [seconds is None, size is None]
        for key in (
            "default_job_timeout_seconds",
            "max_payload_bytes",
            "redis_dsn",
            "http",
            "worker",
            "cron_jobs",
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    parse_settings({key: value_of(case)})
                except SettingsError as error:
                    for problem in error.problems:
                        check_one_line(problem)
                else:
                    found.append(key)
        return found

    fuzz.run("values", Tree(TOKENS), check, share=SHARE)
