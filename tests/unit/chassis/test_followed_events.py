"""What is sent and what is applied are spans of one trace, one below the other."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import trace
from services.chassis.consumer.tracing import followed
from services.chassis.envelope import Event

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    trace.configure("test", sample_ratio=0.0, processor=SimpleSpanProcessor(exporter))
    yield exporter
    trace.configure("test", sample_ratio=0.0)


def event(traceparent: str | None) -> Event:
    return Event("demo", 0, 7, "key", "demo.v1.Happened", "key", 1, b"", traceparent, uuid4(), 0)


def test_what_comes_of_an_event_goes_on_from_its_span(spans: InMemorySpanExporter) -> None:
    sampled, other = event(SAMPLED), event(None)
    with followed("group", [sampled, other]):
        assert sampled.traceparent is not None
        carried = trace.parse(sampled.traceparent)
    (span,) = spans.get_finished_spans()
    assert carried is not None
    assert carried.span_id == f"{span.context.span_id:016x}"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SAMPLED[36:52]
    assert other.traceparent is None


def test_an_event_that_could_not_be_applied_is_as_it_was_sent(spans: InMemorySpanExporter) -> None:
    sampled = event(SAMPLED)
    with pytest.raises(TimeoutError), followed("group", [sampled]):
        raise TimeoutError
    assert sampled.traceparent == SAMPLED
    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
