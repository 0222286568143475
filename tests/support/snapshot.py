"""A whole key space in one round trip: read it, put it back as it was. For small ones, in tests."""

from typing import Any

import redis

from rrq_protocol import Keyspace, Text
from support.audit import Stored

__all__ = ["Snapshots", "parsed"]

_READ = """
local out, keys = {}, redis.call("KEYS", ARGV[1])
table.sort(keys)
for _, key in ipairs(keys) do
  local kind = redis.call("TYPE", key).ok
  local value
  if kind == "hash" then value = redis.call("HGETALL", key)
  elseif kind == "zset" then value = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  elseif kind == "list" then value = redis.call("LRANGE", key, 0, -1)
  elseif kind == "set" then value = redis.call("SMEMBERS", key)
  elseif kind == "string" then value = redis.call("GET", key)
  elseif kind == "stream" then value = redis.call("XRANGE", key, "-", "+")
  else value = {} end
  out[#out + 1] = { key, kind, redis.call("PTTL", key) < 0 and 0 or 1, value }
end
return out
"""
_SAVE = """
local out = {}
for _, key in ipairs(redis.call("KEYS", ARGV[1])) do
  out[#out + 1] = key
  out[#out + 1] = math.max(redis.call("PTTL", key), 0)
  out[#out + 1] = redis.call("DUMP", key)
end
return out
"""
_LOAD = """
for _, key in ipairs(redis.call("KEYS", ARGV[1])) do redis.call("DEL", key) end
for i = 2, #ARGV, 3 do redis.call("RESTORE", ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
"""


class Snapshots:
    """Reads, saves and restores the keys of one keyspace, whose prefix must be free of pattern characters.

    ``reading``, ``saving`` and ``loading`` are the commands of that, for those who send many at a time; the
    server must have been made to ``know`` their scripts.
    """

    def __init__(self, client: "redis.Redis", keyspace: Keyspace) -> None:
        self._client = client
        self._pattern = f"{keyspace.prefix}:*"
        self._read, self._save, self._load = (client.register_script(text) for text in (_READ, _SAVE, _LOAD))

    def know(self) -> None:
        """Have the server load the scripts."""
        for text in (_READ, _SAVE, _LOAD):
            self._client.script_load(text)

    def reading(self) -> tuple[Text, ...]:
        """Return the command that reads all keys; equal replies are equal keys."""
        return ("EVALSHA", self._read.sha, 0, self._pattern)

    def saving(self) -> tuple[Text, ...]:
        """Return the command whose reply is for :meth:`loading`."""
        return ("EVALSHA", self._save.sha, 0, self._pattern)

    def loading(self, saved: list[Any]) -> tuple[Text, ...]:
        """Return the command that makes the keyspace what it was."""
        return ("EVALSHA", self._load.sha, 0, self._pattern, *saved)

    def read(self) -> dict[str, Stored]:
        """Return all keys as the auditor wants them."""
        return parsed(self._read(args=[self._pattern]))

    def save(self) -> list[Any]:
        """Return all keys in a form for :meth:`load`."""
        saved: list[Any] = self._save(args=[self._pattern])
        return saved

    def load(self, saved: list[Any]) -> None:
        """Make the keyspace what it was when it was saved; an empty list empties it."""
        self._load(args=[self._pattern, *saved])


def parsed(rows: Any) -> dict[str, Stored]:
    """Return what was read as the auditor wants it."""
    return {
        key.decode(): Stored(kind.decode(), bool(expires), _plain(kind, value))
        for key, kind, expires, value in rows
    }


def _plain(kind: bytes, value: Any) -> Any:
    if kind == b"hash":
        texts = [each.decode() for each in value]
        return dict(zip(texts[::2], texts[1::2], strict=True))
    if kind == b"zset":
        return {member.decode(): float(score) for member, score in zip(value[::2], value[1::2], strict=True)}
    if kind == b"string":
        return value.decode()
    if kind == b"stream":
        flats = ([each.decode() for each in fields] for _, fields in value)
        return [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in flats]
    return [each.decode() for each in value]
