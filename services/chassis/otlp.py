"""Spans to a collector by OTLP over HTTP. Imported only where there is one: see `trace`.

They wait in a bounded queue and are sent in batches by a thread of their own; what the queue has no room for is
dropped, and lost is what the collector does not take in time: work never waits for it. The standard variables of
OpenTelemetry's SDK (OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_BSP_*,
OTEL_RESOURCE_ATTRIBUTES and so on) hold.
"""

import asyncio
import threading
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.util.re import parse_env_headers
from prometheus_client import Counter

from services.chassis import metrics

PATH = "/v1/traces"
FLUSH_S_MAX = 3.0

_SPANS = metrics.Kept(
    Counter("sampan_trace_spans_total", "Spans of sampled requests by what became of them.", ["outcome"]),
    children_max=3,
)


class _Queue(BatchSpanProcessor):
    """Drops, and counts, what its queue has no room for: the SDK's own queue says so only in a log."""

    def __init__(self, exporter: "_Exporter") -> None:
        self._spans_max = self._default_max_queue_size()  # type: ignore[no-untyped-call]
        self._exporter = exporter
        self._accepted = 0
        self._lock = threading.Lock()
        super().__init__(exporter, max_queue_size=self._spans_max)

    def on_end(self, span: ReadableSpan) -> None:
        """Called wherever a span ends."""
        with self._lock:
            has_room = self._accepted - self._exporter.taken < self._spans_max
            self._accepted += has_room
        if has_room:
            super().on_end(span)
        else:
            _SPANS["dropped"].inc()


class _Exporter(OTLPSpanExporter):
    taken = 0
    """Spans that have left the queue; only the processor's thread writes it."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the processor's thread."""
        self.taken += len(spans)
        result = super().export(spans)
        _SPANS["exported" if result is SpanExportResult.SUCCESS else "lost"].inc(len(spans))
        return result


def processor(endpoint: str, headers: str = "") -> BatchSpanProcessor:
    """Sends spans to the collector at `endpoint`, a URL without the signal's path, with headers as `a=1,b=2`."""
    return _Queue(
        _Exporter(
            endpoint=endpoint.rstrip("/") + PATH, headers=parse_env_headers(headers, liberal=True) or None
        )
    )


async def close(provider: TracerProvider) -> None:
    """Sends what waits, for `FLUSH_S_MAX` seconds at most: a collector that is down must not hold up a stop."""
    thread = threading.Thread(target=provider.shutdown, name="trace flush", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, FLUSH_S_MAX)
