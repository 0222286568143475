"""TCP on the loopback interface, for orchestrators that ask for it."""

import asyncio
import errno
import socket

from rrq_protocol import TcpEndpoint
from rrq_runner.errors import StartupError
from rrq_runner.transports import SessionFactory

_BACKLOG = 128


class TcpListener:
    """A listening TCP socket."""

    def __init__(self, server: asyncio.Server, endpoint: TcpEndpoint) -> None:
        self._server = server
        self.endpoint = endpoint

    @property
    def address(self) -> str:
        """``host:port``, with the port that was chosen where 0 was asked for."""
        return str(self.endpoint)

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


async def listen_tcp(endpoint: TcpEndpoint, factory: SessionFactory) -> TcpListener:
    """Listen on a loopback address; port 0 chooses a free one.

    Raises:
        StartupError: The port is taken, or the system refuses.
    """
    # One address, not both that "localhost" may stand for: with port 0 they would get two ports.
    host = "127.0.0.1" if endpoint.host.casefold() == "localhost" else endpoint.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(factory, host, endpoint.port, family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartupError(
                f"{endpoint} is in use by another program; stop it or choose another port"
            ) from error
        raise StartupError(f"cannot listen on {endpoint}: {error.strerror or error}") from error
    return TcpListener(server, TcpEndpoint(host, server.sockets[0].getsockname()[1]))
