"""Whoever uses an embedded server brings it up again when it was killed (F25). Its file has the data."""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rrq_orchestrator.embedded.errors import EmbeddedServerError
from rrq_orchestrator.embedded.server import EmbeddedServer, restart

__all__ = ["Keeper"]

_LOOK_EVERY_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0


class Log(Protocol):
    """Where it is told."""

    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Keeper:
    """Keeps the server of a folder up while a block runs. Several may keep the same one.

    Args:
        folder: Its folder.
        log: Returns where to log; asked at each event.
    """

    def __init__(self, folder: str | os.PathLike[str], log: Callable[[], Log]) -> None:
        self._folder, self._log = folder, log
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rrq-embedded-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = _LOOK_EVERY_S
        while not self._ending.wait(pause_s):
            try:
                server = restart(self._folder)
            except EmbeddedServerError as error:
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                self._log().error("embedded.restart_failed", problem=str(error), retry_s=pause_s)
            else:
                pause_s = _LOOK_EVERY_S
                if server is not None:
                    self._tell(server)

    def _tell(self, server: EmbeddedServer) -> None:
        if server.started:
            self._log().warning(
                "embedded.restarted", pid=server.pid, folder=server.folder, reason="its server was killed"
            )
