"""Pools of a client library, as the settings mean them."""

from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from rrq_protocol.settings import (
    RedisTarget,
    Secret,
    Settings,
    TlsFiles,
    connection_pool,
    lone_connection,
    resolve_redis,
)

LIBRARIES = pytest.mark.parametrize("library", [redis, redis.asyncio], ids=["blocking", "async"])


@LIBRARIES
def test_a_url_alone(library: Any) -> None:
    """Nothing is added to what the library makes of it but what the caller asked for."""
    pool = connection_pool(RedisTarget.of("redis://me:x@h:1/2"), library, socket_timeout=3)
    kwargs = pool.connection_kwargs
    assert [kwargs[key] for key in ("host", "port", "db", "username", "password", "socket_timeout")] == [
        *("h", 1, 2, "me", "x", 3)
    ]
    assert "credential_provider" not in kwargs
    assert not any(key.startswith("ssl") for key in kwargs)


@LIBRARIES
def test_certificates(library: Any) -> None:
    """The files go to the library; names are checked unless told otherwise."""
    tls = TlsFiles(ca="/ca", cert="/cert", key="/key")
    pool = connection_pool(RedisTarget(url=Secret("rediss://h"), display="h", tls=tls), library)
    given = {key: value for key, value in pool.connection_kwargs.items() if key.startswith("ssl")}
    assert given == {
        "ssl_ca_certs": "/ca",
        "ssl_certfile": "/cert",
        "ssl_keyfile": "/key",
        "ssl_check_hostname": True,
    }


def test_settings_without_tls_have_no_certificates() -> None:
    """A server without TLS is not asked for what it cannot have."""
    assert resolve_redis(Settings(redis_dsn="redis://h")).tls is None  # type: ignore[arg-type]
    assert resolve_redis(Settings(redis_dsn="rediss://h")).tls == TlsFiles()  # type: ignore[arg-type]


def _of_file(path: Path, library: Any) -> Any:
    target = RedisTarget(url=Secret(path.read_text()), display="h", dsn_file=str(path))
    kwargs = connection_pool(target, library).connection_kwargs
    assert not {"username", "password"} & set(kwargs)
    return kwargs["credential_provider"]


@LIBRARIES
def test_passwords_of_a_file_are_read_anew(tmp_path: Path, library: Any) -> None:
    """Each connection asks what stands there now, in any form of a DSN."""
    path = tmp_path / "dsn"
    path.write_text("redis://:first@h")
    provider = _of_file(path, library)
    assert provider.get_credentials() == ("first",)
    for text, expected in (
        ("redis://me:sec%40nd@h\n", ("me", "sec@nd")),
        ("unix:///x?username=me&password=third", ("me", "third")),
        ("redis://h", ()),
    ):
        path.write_text(text)
        assert provider.get_credentials() == expected


@pytest.mark.anyio
async def test_the_async_library_asks_in_its_way(tmp_path: Path) -> None:
    """The same answer."""
    path = tmp_path / "dsn"
    path.write_text("redis://:x@h")
    assert await _of_file(path, redis.asyncio).get_credentials_async() == ("x",)


@pytest.mark.parametrize("text", ["", "secret-c4n4ry", "\xff", None])
def test_a_broken_file(tmp_path: Path, text: str | None) -> None:
    """It is an error of the connection, which may pass; what stands there is not repeated."""
    path = tmp_path / "dsn"
    path.write_text("redis://h")
    provider = _of_file(path, redis)
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConnectionError, match="redis_dsn_file: ") as caught:
        provider.get_credentials()
    assert "secret-c4n4ry" not in str(caught.value)


@LIBRARIES
def test_sentinels(library: Any) -> None:
    """The password of the servers is not told to the sentinels, nor theirs to the servers."""
    dsn = "rediss+sentinel://me:pw@a:1,b/svc/3?sentinel_password=other"
    target = resolve_redis(Settings(redis_dsn=dsn, redis_tls_ca_file="/ca"))  # type: ignore[arg-type]
    connection = lone_connection(target, library, socket_timeout=3)
    pool = connection.connection_pool
    kwargs = pool.connection_kwargs
    assert [kwargs[key] for key in ("db", "username", "password", "ssl_ca_certs", "socket_timeout")] == [
        *(3, "me", "pw", "/ca", 3)
    ]
    assert isinstance(connection, library.sentinel.SentinelManagedSSLConnection)
    asked = pool.sentinel_manager._sentinels().sentinels
    told = [each.connection_pool.connection_kwargs for each in asked]
    assert [(each["host"], each["port"], each["password"], each["username"]) for each in told] == [
        ("a", 1, "other", None),
        ("b", 26379, "other", None),
    ]
    assert told[0]["ssl_ca_certs"] == "/ca"


def test_a_password_of_sentinels_in_a_file(tmp_path: Path) -> None:
    """A DSN of sentinels may stand in a file too."""
    path = tmp_path / "dsn"
    path.write_text("redis+sentinel://:first@a/svc")
    provider = _of_file(path, redis)
    assert provider.get_credentials() == ("first",)
    path.write_text("redis+sentinel://me:second@a/svc")
    assert provider.get_credentials() == ("me", "second")


SAID = "No master found for 'svc': no sentinel at 127.0.0.1:1, 127.0.0.1:2 answers and knows it"


def test_sentinels_that_are_away() -> None:
    """One sentence says which were asked and why none answered, without objects of the library."""
    target = RedisTarget.of("redis+sentinel://127.0.0.1:1,127.0.0.1:2/svc")
    connection = lone_connection(target, redis, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError) as caught:
        connection.connect()
    assert str(caught.value) == SAID


@pytest.mark.anyio
async def test_sentinels_that_are_away_without_blocking() -> None:
    """The same sentence."""
    target = RedisTarget.of("redis+sentinel://127.0.0.1:1,127.0.0.1:2/svc")
    connection = lone_connection(target, redis.asyncio, retry=redis.asyncio.retry.Retry(NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError) as caught:
        await connection.connect()
    assert str(caught.value) == SAID
