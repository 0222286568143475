"""What a parent does for a child that died: fence it, and give its jobs back (RELIABILITY.md 6.3, 6.6).

The same two transitions as a janitor's, without waiting for the lease: the process is known to be dead.
"""

from collections import Counter
from typing import Any, TypeVar

from rrq_orchestrator.identity import is_of_family
from rrq_orchestrator.plan import recovery_policy
from rrq_protocol import Keyspace, ScriptCall, Settings
from rrq_protocol.settings import connection_pool, resolve_redis
from rrq_protocol.transitions import fence, recover

__all__ = ["give_back"]

T = TypeVar("T")
_TIMEOUT_S = 5.0


def give_back(settings: Settings, token: str) -> dict[str, int]:
    """Fence every incarnation of the child with ``token`` and recover its jobs.

    Args:
        settings: The child's settings.
        token: What its parent gave it; see :mod:`rrq_orchestrator.identity`.

    Returns:
        What became of its jobs, by name: ``recovered``, ``dead_lettered``, ``cancelled``.

    Raises:
        ConnectionError: Redis cannot be reached, or refuses. The janitors do it later.
    """
    import redis

    target = resolve_redis(settings)
    if target.url is None:
        raise ConnectionError(target.problem)
    options: dict[str, Any] = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
    client: Any = redis.Redis.from_pool(connection_pool(target, redis, protocol=2, **options))
    keyspace, done = Keyspace(settings.key_prefix), Counter[str]()
    try:
        for raw, lease in client.zrange(keyspace.workers, 0, -1, withscores=True):
            name = raw.decode("utf-8", "replace")
            if is_of_family(name, token):
                _run(client, fence(keyspace, name, lease))
        # An incarnation that a janitor has fenced already is there too.
        for raw in client.zrange(keyspace.reaping, 0, -1):
            name = raw.decode("utf-8", "replace")
            if is_of_family(name, token):
                done.update(_recover(client, keyspace, settings, name))
    except redis.RedisError as error:
        raise ConnectionError(str(error)) from error
    finally:
        client.close()
    return {kind: done[kind] for kind in ("recovered", "dead_lettered", "cancelled")}


def _recover(client: Any, keyspace: Keyspace, settings: Settings, name: str) -> Counter[str]:
    policy, done = recovery_policy(settings), Counter[str]()
    left = 1
    while left:
        reply = _run(client, recover(keyspace, name, policy))
        done.update(recovered=reply.recovered, dead_lettered=reply.dead_lettered, cancelled=reply.cancelled)
        left = reply.left
    return done


def _run(client: Any, call: ScriptCall[T]) -> T:
    from redis.exceptions import NoScriptError

    try:
        return call.result(client.execute_command(*call.evalsha_args()))
    except NoScriptError:
        return call.result(client.execute_command(*call.eval_args()))
