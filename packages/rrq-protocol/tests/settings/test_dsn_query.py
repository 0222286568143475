"""Options of a DSN: few, and none that weakens TLS."""

import pytest
import redis

from rrq_protocol.errors import SettingsError
from rrq_protocol.settings import (
    RedisTarget,
    Secret,
    Settings,
    connection_pool,
    parse_settings,
    resolve_redis,
)
from rrq_protocol.settings.dsn_query import dsn_query_problems

CANARY = "canary"
REFUSED = [
    ("ssl_cert_reqs=none", "ssl_cert_reqs: certificates are always verified; .*redis_tls_ca_file"),
    ("ssl_check_hostname=false", "ssl_check_hostname: set redis_tls_check_hostname"),
    ("ssl_ca_certs=/ca.pem", "ssl_ca_certs: set redis_tls_ca_file"),
    ("timeout=5", "timeout: after . only client_name, db, password, username may stand"),
    ("decode_responses=true", "decode_responses"),
    ("socket_timeout=abc", "socket_timeout"),
    ("protocol=3", "protocol"),
    ("db=zz", "database number as the option db"),
    ("db=", "database number as the option db"),
    ("db=1&db=1", "option db twice"),
    ("client_name=a%20b", "client_name"),
    (CANARY, "expected name=value"),
    (f"{CANARY}@host/0", "expected name=value"),
    (f"{CANARY}%3D@x=1", "expected name=value"),
    (f"timeout={CANARY}", "timeout"),
]


@pytest.mark.parametrize(("query", "said"), REFUSED)
@pytest.mark.parametrize("address", ["redis://h", "rediss://h", "unix:///run/r.sock"])
def test_refused(address: str, query: str, said: str) -> None:
    """The option is named with what to set instead; its value is not repeated, nor what may be a password."""
    dsn = f"{address}?{query}"
    with pytest.raises(SettingsError, match=f"^rrq.redis_dsn: .*{said}") as caught:
        parse_settings({"redis_dsn": dsn})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ssl_cert_reqs=none", "certificates are always verified"),
        ("db=1", "only sentinel_password, sentinel_username may stand"),
        ("sentinel_username=a&sentinel_username=b", "twice"),
    ],
)
def test_refused_with_sentinels(scheme: str, query: str, said: str) -> None:
    """The same holds where the address is asked for."""
    with pytest.raises(SettingsError, match=f"^rrq.redis_dsn: .*{said}"):
        parse_settings({"redis_dsn": f"{scheme}://h/service?{query}"})


@pytest.mark.parametrize(
    "dsn",
    [
        "redis://h",
        "redis://h/1?db=1",
        "unix:///r.sock?db=3&username=me&password=a%26b",
        "rediss://h/0?client_name=web-1",
        "redis://h/0?",
        "embedded://a?b",
        "redis://[",
    ],
)
def test_nothing_to_say(dsn: str) -> None:
    """What is permitted, and what other rules judge."""
    assert list(dsn_query_problems(dsn)) == []


def test_one_database_only() -> None:
    """Two numbers cannot both be meant."""
    (problem,) = dsn_query_problems("redis://h/1?db=2")
    assert "keep one" in problem


def test_settings_built_in_code_are_refused_too() -> None:
    """Settings that nobody checked reach no client with such an option, nor does a URL alone."""
    dsn = "rediss://h/0?ssl_cert_reqs=none"
    with pytest.raises(SettingsError, match="ssl_cert_reqs"):
        resolve_redis(Settings(redis_dsn=Secret(dsn)))
    with pytest.raises(SettingsError, match="ssl_cert_reqs"):
        connection_pool(RedisTarget.of(dsn), redis)
