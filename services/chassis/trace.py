"""W3C trace context through HTTP, gRPC and Kafka, paid for only by the requests that are sampled.

The context is carried as the text of the `traceparent` header, in one context variable. A request that is
not sampled passes it on unchanged and makes no span (a full span per hop was measured to double the cost of
a call); a sampled one makes OpenTelemetry spans, which go wherever a processor is added to the provider.

    with trace.span("orders.place", parent=event.traceparent):      # parent: default is the current context
        OutboxMessage(..., traceparent=trace.current_traceparent())

Work that serves many requests at once (a batch) has no single parent: it carries each item's traceparent
along with the item and logs those that are sampled with `log.info("reserved", **trace.fields(tp))`.
"""

import os
import random
import re
from contextvars import ContextVar, Token
from types import TracebackType
from typing import NamedTuple

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

HEADER = "traceparent"
HEADER_BYTES = HEADER.encode()
_SHAPE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_VERSION_0_CHARS = 55
_SAMPLED_DIGITS = frozenset("13579bdf")

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_tracer: otel.Tracer = otel.NoOpTracer()
_ids = random.Random(os.urandom(16))
_ratio_bound = 0


class TraceContext(NamedTuple):
    """A parsed `traceparent`."""

    trace_id: str
    span_id: str
    sampled: bool


def configure(service: str, *, sample_ratio: float, processor: SpanProcessor | None = None) -> TracerProvider:
    """Makes the provider: parent-based, `sample_ratio` (0 to 1) of the requests that begin here."""
    global _tracer, _ratio_bound
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        resource=Resource.create({"service.name": service}),
        shutdown_on_exit=False,
    )
    if processor is not None:
        provider.add_span_processor(processor)
    _tracer = provider.get_tracer("sampan")
    _ratio_bound = TraceIdRatioBased.get_bound_for_rate(sample_ratio)
    return provider


def parse(traceparent: str | None) -> TraceContext | None:
    """The parts of a valid `traceparent` header; None for anything else."""
    if traceparent is None or not _SHAPE.fullmatch(traceparent):
        return None
    if traceparent.startswith("00") and len(traceparent) != _VERSION_0_CHARS:
        return None
    return TraceContext(traceparent[3:35], traceparent[36:52], traceparent[54] in _SAMPLED_DIGITS)


def is_sampled(traceparent: str | None) -> bool:
    """Whether this request pays for spans and for log lines of its own. Cheap, for text of our own making."""
    return (
        traceparent is not None
        and len(traceparent) == _VERSION_0_CHARS
        and traceparent[-1] in _SAMPLED_DIGITS
    )


def fields(traceparent: str | None) -> dict[str, str]:
    """trace_id and span_id for a log line about another request than the current one."""
    context = parse(traceparent)
    return {"trace_id": context.trace_id, "span_id": context.span_id} if context else {}


def new_traceparent() -> str:
    """The root of a new trace, sampled or not by the ratio, decided as OpenTelemetry decides."""
    trace_id = _ids.getrandbits(128) or 1
    sampled = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < _ratio_bound
    return f"00-{trace_id:032x}-{_ids.getrandbits(64) or 1:016x}-{sampled:02x}"


def incoming(header: str | None) -> str:
    """What to go on with for a request from outside: its context where valid, else a new root."""
    if header is None or parse(header) is None:
        return new_traceparent()
    return header[:_VERSION_0_CHARS]


def current_traceparent() -> str | None:
    """The context of the request that this task works for, to be sent along; None outside of one."""
    return _current.get()


def set_current(traceparent: str | None) -> None:
    """Makes a context current until the end of this task. For the edge of a request; else use `span`."""
    _current.set(traceparent)


class span:
    """A unit of work within the trace of `parent`; by default that of the current task.

    Where the trace is not sampled this only makes the parent current. An exception marks the span as failed
    and goes on; its text is not recorded, since it may hold personal data.
    """

    __slots__ = ("_attributes", "_name", "_parent", "_span", "_token")

    def __init__(
        self, name: str, *, parent: str | None = None, **attributes: str | int | float | bool
    ) -> None:
        self._name = name
        self._parent = parent
        self._attributes = attributes
        self._span: Span | None = None
        self._token: Token[str | None] | None = None

    def __enter__(self) -> Span | None:
        parent = self._parent if self._parent is not None else _current.get()
        if is_sampled(parent):
            self._span = _tracer.start_span(self._name, _otel_context(parent), attributes=self._attributes)
            made = self._span.get_span_context()
            if made.is_valid:
                parent = f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"
        self._token = _current.set(parent)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if self._span is not None:
            if kind is not None:
                self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
            self._span.end()


def _otel_context(traceparent: str | None) -> Context | None:
    context = parse(traceparent)
    if context is None:
        return None
    remote = SpanContext(
        int(context.trace_id, 16), int(context.span_id, 16), True, TraceFlags(context.sampled)
    )
    return otel.set_span_in_context(NonRecordingSpan(remote))
