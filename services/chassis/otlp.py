"""Spans to a collector by OTLP over HTTP. Imported only where there is one: see `trace`.

They wait in a bounded queue and are sent in batches by a thread of their own; what the queue does not hold is lost,
as is what the collector does not take in time: work never waits for it. The standard variables of OpenTelemetry's SDK
(OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES and so on) hold.
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
    children_max=2,
)


class _Exporter(OTLPSpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the processor's thread."""
        result = super().export(spans)
        _SPANS["exported" if result is SpanExportResult.SUCCESS else "lost"].inc(len(spans))
        return result


def processor(endpoint: str, headers: str = "") -> BatchSpanProcessor:
    """Sends spans to the collector at `endpoint`, a URL without the signal's path, with headers as `a=1,b=2`."""
    return BatchSpanProcessor(
        _Exporter(
            endpoint=endpoint.rstrip("/") + PATH, headers=parse_env_headers(headers, liberal=True) or None
        )
    )


async def close(provider: TracerProvider) -> None:
    """Sends what waits, for `FLUSH_S_MAX` seconds at most: a collector that is down must not hold up a stop."""
    thread = threading.Thread(target=provider.shutdown, name="trace flush", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, FLUSH_S_MAX)
