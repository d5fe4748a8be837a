"""Spans on their way to a collector that is slow."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY

from services.chassis import otlp
from tests.collector import Collector

QUEUE_MAX = 8
SPANS = 50


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.answering.set()
    collector.close()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("sampan_trace_spans_total", {"outcome": outcome}) or 0.0


def test_a_span_is_exported_or_counted_as_dropped(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(QUEUE_MAX))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(QUEUE_MAX))
    monkeypatch.setenv("NO_PROXY", "*")
    exported, dropped = counted("exported"), counted("dropped")
    processor = otlp.processor(collector.endpoint)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    tracer = provider.get_tracer(__name__)

    collector.answering.clear()
    for number in range(SPANS):
        tracer.start_span(f"span {number}").end()
    # At the most one batch is under way while another fills the queue.
    assert counted("dropped") - dropped >= SPANS - 2 * QUEUE_MAX
    collector.answering.set()
    processor.force_flush()
    tracer.start_span("one more").end()
    processor.force_flush()

    assert counted("exported") - exported + counted("dropped") - dropped == SPANS + 1
    assert collector.spans[-1].span.name == "one more", "there is room again"
    provider.shutdown()
