"""Addresses of Redis servers."""

import os
import ssl
from pathlib import Path

import msgspec
import pytest

from rrq_producer import Producer
from rrq_producer.address import Address
from rrq_producer.errors import RedisRefused
from rrq_protocol import SettingsError
from rrq_protocol.settings import SERVER_FILE, EmbeddedServer


@pytest.mark.parametrize("dsn", ["", "localhost", "http://localhost", "redis//localhost"])
def test_an_unknown_scheme_is_refused(dsn: str) -> None:
    """An address without a scheme that is known is refused with those that are."""
    with pytest.raises(SettingsError, match="rediss://"):
        Address.of_dsn(dsn)


def test_the_password_is_not_shown() -> None:
    """What is shown of an address holds no password, also when it cannot be used (S8)."""
    address = Address.of_dsn("redis://user:canary@localhost:port/0")
    assert "canary" not in address.display
    with pytest.raises(SettingsError) as refused:
        address.blocking_connection(1)
    assert "canary" not in str(refused.value)


def test_options_in_the_address_reach_the_connection() -> None:
    """TLS and a few options are parts of the address; certificates are checked (S20)."""
    connection = Address.of_dsn("rediss://localhost/3?client_name=me").blocking_connection(1)
    values = vars(connection)
    assert (values["db"], values["client_name"]) == (3, "me")
    assert values["cert_reqs"] == ssl.CERT_REQUIRED
    assert values["check_hostname"]


@pytest.mark.parametrize(
    "query", ["ssl_cert_reqs=none", "timeout=5", "decode_responses=true", "socket_timeout=abc", "db=zz"]
)
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "rediss+sentinel"])
def test_other_options_are_refused(scheme: str, query: str) -> None:
    """What the client library would take besides is refused by name before anything is connected."""
    with pytest.raises(SettingsError, match=rf"^rrq.redis_dsn: .*\b{query.partition('=')[0]}\b"):
        Address.of_dsn(f"{scheme}://localhost/{'x' if '+' in scheme else '0'}?{query}").blocking_connection(1)


def test_an_embedded_server_that_is_not_running_is_told(tmp_path: Path) -> None:
    """Without a running server in the folder, the error says what to start; nothing is retried."""
    producer = Producer(f"embedded://{tmp_path}")
    with pytest.raises(RedisRefused, match="rrq dev"):
        producer.enqueue("f")


def test_an_embedded_server_is_found_where_it_is_now(tmp_path: Path) -> None:
    """The folder is looked at for each connection; a server that is gone is tried where it was."""
    address = Address.of_dsn(f"embedded://{tmp_path}")
    with pytest.raises(RedisRefused):
        address.async_connection()
    for name in ("one.sock", "two.sock"):
        server = EmbeddedServer(socket=name, pid=os.getpid())
        (tmp_path / SERVER_FILE).write_bytes(msgspec.json.encode(server))
        for connection in (address.async_connection(), address.blocking_connection(1)):
            assert vars(connection)["path"] == str(tmp_path / name)
    (tmp_path / SERVER_FILE).unlink()
    assert vars(address.blocking_connection(1))["path"] == str(tmp_path / "two.sock")
