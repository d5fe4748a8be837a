"""A collector of traces for tests: takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Told:
    """A span and the service that made it; ids in hexadecimal digits, `parent_id` empty for a first span."""

    service: str
    span: Span

    def __str__(self) -> str:
        return f"{self.parent_id or 'none':16} -> {self.span_id} {self.service}, {self.span.name}"

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent_id(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, str | int]:
        """Texts and numbers."""
        return {
            one.key: one.value.int_value if one.value.HasField("int_value") else one.value.string_value
            for one in self.span.attributes
        }


class Collector:
    """Listens until closed. It takes spans, and answers only while `answering` is set."""

    def __init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    collector._take(body)
                collector.answering.wait()
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.answering = threading.Event()
        self.answering.set()
        self.spans: list[Told] = []
        self.bodies: list[bytes] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def wait_for(self, condition: Callable[[list[Told]], object], *, s_max: float = 30.0) -> list[Told]:
        """The spans so far, once they fulfil the condition."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.spans), s_max), sorted(
                (one.service, one.span.name) for one in self.spans
            )
            return list(self.spans)

    def close(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        told = [
            Told(_service(resource.resource.attributes), span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._changed:
            self.bodies.append(body)
            self.spans += told
            self._changed.notify_all()


def _service(attributes: Iterable[KeyValue]) -> str:
    return next(one.value.string_value for one in attributes if one.key == "service.name")
