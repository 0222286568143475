"""Where the endpoint listens, and what stands at each path."""

import errno
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.http.metrics import render
from rrq_orchestrator.http.readiness import unready_reasons
from rrq_orchestrator.http.request import Request
from rrq_orchestrator.http.server import Answer, HttpServer
from rrq_orchestrator.http.view import View
from rrq_protocol import SettingsError

__all__ = ["Endpoint"]

_ALIVE: Final = Answer(200, b'{"alive":true}\n')


class Endpoint:
    """Listens from :meth:`open` to :meth:`close`; not at all where ``address`` is None."""

    def __init__(self, address: str | None, view: View, log: FilteringBoundLogger) -> None:
        self._address, self._view, self._log = address, view, log
        self._server = HttpServer(self._answer)
        self.port = 0

    async def open(self) -> None:
        """Listen.

        Raises:
            SettingsError: The address cannot be had.
        """
        if self._address is None:
            return
        host, _, port = self._address.rpartition(":")
        try:
            at, self.port = await self._server.open(host.strip("[]"), int(port))
        except OSError as error:
            raise SettingsError([f"rrq.http.address: {_explained(self._address, error)}"]) from error
        self._log.info("http.listening", address=f"[{at}]:{self.port}" if ":" in at else f"{at}:{self.port}")

    async def close(self) -> None:
        """End it, and every connection."""
        await self._server.close()

    async def _answer(self, request: Request) -> Answer | None:
        match request.path:
            case "/healthz":
                return _ALIVE  # whoever gets it knows that the event loop turns
            case "/readyz":
                reasons = unready_reasons(self._view.facts())
                body = msgspec.json.encode({"ready": not reasons, "reasons": reasons}) + b"\n"
                return Answer(503 if reasons else 200, body)
            case "/metrics":
                facts = self._view.facts(await self._view.sizes())
                return Answer(200, *render(facts, self._view.meters, request.accept))
        return None


def _explained(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another process; choose another port, or 0 for a free one"
    return f"cannot listen on {address}: {error.strerror or error}"
