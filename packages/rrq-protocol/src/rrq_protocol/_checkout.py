"""What only a checkout has: crash points around the commands of a client library (RELIABILITY.md 3.1).

No wheel holds this file; without it :mod:`rrq_protocol.testing` does not honour its variables.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["at_crash_points"]

_PUSHED = (b"message", b"pmessage", "message", "pmessage")


def at_crash_points(kind: Any, reach: Callable[[str], None], library: Any) -> Any:
    """Return a kind of connection that tells ``reach`` of each command before it is sent, and of its reply.

    Calls of scripts are left out, for they tell of theirs themselves. ``library`` is the one that ``kind`` is
    of: ``redis`` or ``redis.asyncio``.
    """
    make = _async_methods if library.__name__.endswith(".asyncio") else _blocking_methods
    methods = make(kind, reach, library.ResponseError)
    return type(kind.__name__, (kind,), {"__doc__": kind.__doc__, **methods})


class _Asked:
    """The commands of one connection whose replies have not come yet."""

    def __init__(self, reach: Callable[[str], None]) -> None:
        self._reach, self._names = reach, deque[str]()

    def sending(self, packed: Iterable[bytes] | bytes | str) -> tuple[list[bytes], list[str]]:
        """Tell of commands that are about to be sent; return them, and their names."""
        pieces = [packed] if isinstance(packed, bytes | str) else packed
        sent = [each.encode() if isinstance(each, str) else bytes(each) for each in pieces]
        names = _names(b"".join(sent))
        for name in names:
            self._tell(f"{name}.before")
        return sent, names

    def sent(self, names: list[str]) -> None:
        """Note that replies are owed."""
        self._names.extend(names)

    def replied(self, reply: object) -> None:
        """Tell of a reply; what is published to a channel is none."""
        pushed = isinstance(reply, list) and reply[:1] and reply[0] in _PUSHED
        if self._names and not pushed:
            self._tell(f"{self._names.popleft()}.after")

    def forget(self) -> None:
        """No reply will come any more."""
        self._names.clear()

    def _tell(self, label: str) -> None:
        if not label.startswith("eval"):
            self._reach(label)


def _names(packed: bytes) -> list[str]:
    """Return the names of packed commands: arrays of bulk strings."""
    names: list[str] = []
    at = 0
    while at < len(packed):
        size, at = _number(packed, at)
        for index in range(size):
            length, at = _number(packed, at)
            if index == 0:
                names.append(packed[at : at + length].decode("ascii", "replace").lower())
            at += length + 2
    return names


def _number(packed: bytes, at: int) -> tuple[int, int]:
    end = packed.index(b"\r\n", at)
    return int(packed[at + 1 : end]), end + 2


def _asked(connection: Any, reach: Callable[[str], None]) -> _Asked:
    asked: _Asked = connection.__dict__.setdefault("_rrq_asked", _Asked(reach))
    return asked


def _blocking_methods(kind: Any, reach: Callable[[str], None], refusal: type[Exception]) -> dict[str, Any]:
    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        asked = _asked(self, reach)
        sent, names = asked.sending(command)
        kind.send_packed_command(self, sent, check_health)
        asked.sent(names)

    def read_response(self: Any, *args: Any, **options: Any) -> Any:
        try:
            reply = kind.read_response(self, *args, **options)
        except refusal as error:
            _asked(self, reach).replied(error)
            raise
        _asked(self, reach).replied(reply)
        return reply

    def disconnect(self: Any, *args: Any, **options: Any) -> None:
        _asked(self, reach).forget()
        kind.disconnect(self, *args, **options)

    return {
        "send_packed_command": send_packed_command,
        "read_response": read_response,
        "disconnect": disconnect,
    }


def _async_methods(kind: Any, reach: Callable[[str], None], refusal: type[Exception]) -> dict[str, Any]:
    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        asked = _asked(self, reach)
        sent, names = asked.sending(command)
        # Another task may read the reply before this one goes on. While it connects, others are asked first.
        connected = self.is_connected
        if connected:
            asked.sent(names)
        await kind.send_packed_command(self, sent, check_health)
        if not connected:
            asked.sent(names)

    async def read_response(self: Any, *args: Any, **options: Any) -> Any:
        try:
            reply = await kind.read_response(self, *args, **options)
        except refusal as error:
            _asked(self, reach).replied(error)
            raise
        if reply is not None or options.get("timeout") is None:  # else nothing may have come in time
            _asked(self, reach).replied(reply)
        return reply

    async def disconnect(self: Any, *args: Any, **options: Any) -> None:
        _asked(self, reach).forget()
        await kind.disconnect(self, *args, **options)

    return {
        "send_packed_command": send_packed_command,
        "read_response": read_response,
        "disconnect": disconnect,
    }
