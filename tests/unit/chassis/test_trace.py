"""W3C trace context: what is valid, what is sampled, how it nests."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE_ID}-00f067aa0ba902b7-00"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    trace.configure("test", sample_ratio=0.0, processor=SimpleSpanProcessor(exporter))
    yield exporter
    trace.configure("test", sample_ratio=0.0)


def test_a_valid_header_is_parsed() -> None:
    assert trace.parse(SAMPLED) == (TRACE_ID, "00f067aa0ba902b7", True)
    assert trace.parse(UNSAMPLED) == (TRACE_ID, "00f067aa0ba902b7", False)
    assert trace.parse(f"01-{TRACE_ID}-00f067aa0ba902b7-03-later") == (TRACE_ID, "00f067aa0ba902b7", True)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        SAMPLED.upper(),
        SAMPLED + "-more",
        SAMPLED + "\n",
        "ff" + SAMPLED[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7-0g",
        "x" * 100_000,
    ],
)
def test_anything_else_begins_a_new_trace(header: str | None) -> None:
    assert trace.parse(header) is None
    begun = trace.parse(trace.incoming(header))
    assert begun is not None
    assert begun.trace_id != TRACE_ID


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (SAMPLED, True),
        (UNSAMPLED, False),
        (SAMPLED[:-2] + "03", True),
        (SAMPLED[:-2] + "02", False),
        (None, False),
    ],
)
def test_sampling_is_the_lowest_bit_of_the_flags(header: str | None, sampled: bool) -> None:
    assert trace.is_sampled(header) is sampled


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (1.0, 2000, 2000), (0.25, 400, 600)])
def test_new_traces_are_sampled_by_the_ratio(ratio: float, least: int, most: int) -> None:
    trace.configure("test", sample_ratio=ratio)
    made = [trace.new_traceparent() for _ in range(2000)]
    trace.configure("test", sample_ratio=0.0)
    assert least <= sum(map(trace.is_sampled, made)) <= most
    assert all(map(trace.parse, made))
    assert len(set(made)) == 2000


def test_an_unsampled_request_makes_no_span(spans: InMemorySpanExporter) -> None:
    with trace.span("work", parent=UNSAMPLED) as span:
        assert span is None
        assert trace.current_traceparent() == UNSAMPLED
    assert trace.current_traceparent() is None
    assert not spans.get_finished_spans()


def test_sampled_spans_nest_across_processes(spans: InMemorySpanExporter) -> None:
    with trace.span("outer", parent=SAMPLED):
        carried = trace.current_traceparent()
    assert carried is not None
    assert carried != SAMPLED
    assert trace.is_sampled(carried)
    with trace.span("inner", parent=carried, attributes={"order_count": 3}):
        pass
    outer, inner = spans.get_finished_spans()
    assert outer.parent is not None
    assert inner.parent is not None
    assert f"{outer.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert f"{inner.parent.span_id:016x}" == carried[36:52]
    assert inner.parent.trace_id == outer.parent.trace_id == int(TRACE_ID, 16)
    assert inner.attributes == {"order_count": 3}


def test_a_trace_that_begins_here_has_a_first_span_without_a_parent(spans: InMemorySpanExporter) -> None:
    trace.configure("test", sample_ratio=1.0, processor=SimpleSpanProcessor(spans))
    begun = trace.incoming(None)
    with trace.span("first", parent=begun), trace.span("second"):
        pass
    second, first = spans.get_finished_spans()
    assert first.parent is None
    assert f"{first.context.trace_id:032x}" == begun[3:35]
    assert second.parent is not None
    assert second.parent.span_id == first.context.span_id


def test_a_batch_opens_a_span_for_each_sampled_item(spans: InMemorySpanExporter) -> None:
    other = SAMPLED.replace("4bf9", "0000")
    opened = [trace.start("store", "client", parent=parent) for parent in (SAMPLED, UNSAMPLED, other)]
    assert [one is not None for one in opened] == [True, False, True]
    for one in opened:
        if one is not None:
            one.end()
    assert {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()} == {
        TRACE_ID,
        other[3:35],
    }


def test_without_an_exporter_nothing_of_opentelemetry_is_imported() -> None:
    program = """
import sys
from services.chassis import trace
trace.configure("test", sample_ratio=1.0)
with trace.span("work", parent=trace.incoming(None)) as span:
    assert span is None and trace.is_sampled(trace.current_traceparent())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("outer", "inner", "kept"),
    [
        (SAMPLED, SAMPLED.replace("00f0", "1111"), SAMPLED.replace("00f0", "1111")),
        (SAMPLED, SAMPLED.replace("4bf9", "0000"), SAMPLED),
        (SAMPLED, None, SAMPLED),
        (None, SAMPLED, SAMPLED),
        (None, None, None),
    ],
)
def test_a_trace_goes_on_from_its_innermost_span(
    outer: str | None, inner: str | None, kept: str | None
) -> None:
    assert trace.innermost(outer, inner) == kept


def test_a_failure_marks_the_span_without_its_text(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Wang"), trace.span("work", parent=SAMPLED):
        raise ValueError("no such person: Wang Wei")
    (span,) = spans.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "Wang" not in span.to_json()
