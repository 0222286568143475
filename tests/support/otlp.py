"""A receiver of traces on loopback: OTLP over HTTP, as protobuf or JSON, decoded with the protocol's own
protobuf classes.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Received", "Receiver"]

WITHIN_S = 60.0


@dataclass(frozen=True)
class Received:
    """A span as it arrived. ``status`` is 0 unset, 1 ok, 2 error; ``kind`` is 3 client … as in the protocol;
    ``links`` are span ids.
    """

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    status: int
    message: str
    path: str


class Receiver:
    """Serves in ``with``.

    Attributes:
        url: What ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set to.
        spans: Everything received so far.
    """

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers["Content-Type"]
                receiver._take(self.path, _DECODERS[kind](body))
                answer = b"{}" if kind == _JSON else ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, wanted: Callable[[Sequence[Received]], Any], what: str) -> Any:
        """Wait until ``wanted`` makes something of the spans received, and return that."""
        give_up = time.monotonic() + WITHIN_S
        with self._changed:
            while not (found := wanted(self.spans)):
                if not self._changed.wait(max(0.0, give_up - time.monotonic())):
                    raise AssertionError(f"expected {what}, got {self.spans}")
            return found

    def named(self, name: str, count: int = 1) -> list[Received]:
        """Wait until so many spans of a name are here, and return them, in the order they came."""

        def wanted(spans: Sequence[Received]) -> list[Received]:
            found = [span for span in spans if span.name == name]
            return found if len(found) >= count else []

        found: list[Received] = self.wait_for(wanted, f"{count} spans {name!r}")
        return found

    def _take(self, path: str, request: ExportTraceServiceRequest) -> None:
        with self._changed:
            for resource in request.resource_spans:
                service = _attributes(resource.resource.attributes).get("service.name", "")
                for scope in resource.scope_spans:
                    self.spans += [_received(span, service, path) for span in scope.spans]
            self._changed.notify_all()


def _from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return request


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    document = json.loads(body)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP writes ids in hexadecimal, where protobuf's own JSON has base64.
                for name in {"traceId", "spanId", "parentSpanId"} & set(span):
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    request = ExportTraceServiceRequest()
    ParseDict(document, request)
    return request


_JSON = "application/json"
_DECODERS = {"application/x-protobuf": _from_protobuf, _JSON: _from_json}


def _received(span: Any, service: str, path: str) -> Received:
    return Received(
        name=span.name,
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        attributes=_attributes(span.attributes),
        links=tuple(link.span_id.hex() for link in span.links),
        status=span.status.code,
        message=span.status.message,
        path=path,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
