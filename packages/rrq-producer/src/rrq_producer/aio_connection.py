"""Using an async connection of the client library, on any event loop.

A transport that is closed while nobody uses its connection tells nobody, and what a write to it does then
depends on the loop: uvloop raises RuntimeError; the loop of Python 3.12.1 registers the write under a file
number that the next connection may get. Here it is a connection that broke, as anywhere else.
"""

import asyncio

from rrq_producer.address import AsyncConnection

__all__ = ["connect", "discard", "is_open", "send"]


def is_open(connection: AsyncConnection) -> bool:
    """Return whether a connection can be used, as far as is known."""
    return connection.is_connected and not _is_closing(connection)


async def connect(connection: AsyncConnection) -> None:
    """Open a connection and say who we are; nothing happens when it is open.

    Raises:
        redis.RedisError: That failed.
        ConnectionResetError: It broke at once.
    """
    try:
        await connection.connect()
    except RuntimeError as error:
        raise _meant(error) from error


async def send(connection: AsyncConnection, command: bytes) -> None:
    """Send a packed command; on any error the connection is closed.

    Raises:
        redis.RedisError: That failed.
        ConnectionResetError: The connection was closed before.
    """
    if _is_closing(connection):
        raise ConnectionResetError("the connection was closed")
    try:
        await connection.send_packed_command((command,), check_health=False)
    except RuntimeError as error:
        raise _meant(error) from error


async def discard(connection: AsyncConnection) -> None:
    """Close a connection at once, in whatever state it is, without waiting for the other side."""
    from redis.exceptions import RedisError

    writer = _writer(connection)
    if writer is not None and writer.transport.get_write_buffer_size():
        writer.transport.abort()  # else it would stay open until the rest was sent
    try:
        await connection.disconnect(nowait=True)
    except (RedisError, OSError):
        return


def _is_closing(connection: AsyncConnection) -> bool:
    writer = _writer(connection)
    return writer is not None and writer.is_closing()


def _writer(connection: AsyncConnection) -> asyncio.StreamWriter | None:
    # The client library has no public way to it.
    writer: asyncio.StreamWriter | None = getattr(connection, "_writer", None)
    return writer


def _meant(error: RuntimeError) -> Exception:
    if type(error) is not RuntimeError:  # such as RecursionError, which is nobody's connection
        return error
    return ConnectionResetError(f"the connection broke: {error}")
