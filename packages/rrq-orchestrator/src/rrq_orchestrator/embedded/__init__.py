"""A Valkey server of the project's own, in one folder, behind a Unix socket: ``embedded://.rrq``.

Theory of operation. The folder holds everything: data (an append-only file), log, socket and four small
files.

* ``start.lock`` is held while somebody starts or stops a server there, so that two starters never race.
* ``server.lock`` is locked by the server process itself, through a descriptor it inherited, for as long as it
  lives. So "is one running" is answered by the kernel: a kill -9 or a recycled process id cannot fool it. It
  also says which process and which socket.
* ``users.lock`` is locked, shared, by everybody who wants the server to live: each ``rrq dev``. A server that
  was started for them has a guard, which waits until it can have that lock alone, and then ends it. A server
  of ``rrq embedded start`` has none, and stays.
* ``server.json`` announces the server to everybody else (:func:`rrq_protocol.settings.resolve_redis`). It is
  written when the server answers, and removed when it is stopped; one left behind by a kill is replaced by
  the next start.

A server that was killed is started again by those who use it (:mod:`.keeper`); one that was stopped is not.
The difference is what stands in ``server.lock``: a stop empties it.

``python -m rrq_orchestrator.embedded start|stop|status --dir .rrq [--json]`` does the same from a shell.
"""

from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
from rrq_orchestrator.embedded.keeper import Keeper
from rrq_orchestrator.embedded.server import EmbeddedServer, restart, serving, start, status, stop

__all__ = [
    "EmbeddedServer",
    "EmbeddedServerError",
    "EmbeddedSetupError",
    "Keeper",
    "restart",
    "serving",
    "start",
    "status",
    "stop",
]
