"""TCP listens where it was told to, or says why not."""

import asyncio

import pytest

from rrq_protocol import TcpEndpoint
from rrq_runner.errors import StartupError
from rrq_runner.transports.tcp import listen_tcp

pytestmark = pytest.mark.anyio


class Greeter(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Do so."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_free_port_is_chosen_and_told(host: str) -> None:
    """Port 0 becomes a real one, which takes connections until it is closed."""
    listener = await listen_tcp(TcpEndpoint(host, 0), Greeter)
    assert listener.endpoint.port > 0
    assert listener.address == f"127.0.0.1:{listener.endpoint.port}"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.endpoint.port)
    assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()
    listener.close()
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", listener.endpoint.port)


async def test_a_port_in_use_is_one_line() -> None:
    """The text names the address and what to do."""
    first = await listen_tcp(TcpEndpoint("127.0.0.1", 0), Greeter)
    with pytest.raises(
        StartupError, match=rf"^{first.address} is in use by another program; stop it or choose"
    ):
        await listen_tcp(first.endpoint, Greeter)
    first.close()


async def test_what_the_system_refuses_is_one_line() -> None:
    """An address this host does not have is told as such."""
    with pytest.raises(StartupError, match=r"cannot listen on 192\.0\.2\.1:1: "):
        await listen_tcp(TcpEndpoint("192.0.2.1", 1), Greeter)
