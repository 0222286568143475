"""Where requests come from: a Unix socket, a TCP port on the loopback interface, or stdin and stdout.

Each module offers one coroutine that begins to listen and returns a :class:`Listener`.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

__all__ = ["Admit", "Listener", "SessionFactory"]

SessionFactory: TypeAlias = Callable[[], asyncio.Protocol]
"""Makes the protocol object of one new connection."""

Admit: TypeAlias = Callable[[asyncio.BaseTransport], str | None]
"""Says why a peer may not connect; None if it may."""


class Listener(Protocol):
    """An open door. Closing it leaves the connections made through it alone."""

    @property
    def address(self) -> str:
        """Where peers connect, as text."""

    def close(self) -> None:
        """Take no more connections, and remove from the file system what was put there."""
