"""W3C trace context through HTTP, gRPC and Kafka, paid for only by the requests that are sampled.

The context is carried as the text of the `traceparent` header, in one context variable. A request that is
not sampled passes it on unchanged and makes no span (a full span per hop was measured to double the cost of
a call). A sampled one makes OpenTelemetry spans where they are exported (`otlp`); else it is told by log lines
only, and OpenTelemetry is not even imported.

    with trace.span("orders.place", parent=event.traceparent):      # parent: default is the current context
        OutboxMessage(..., traceparent=trace.current_traceparent())

Work that serves many requests at once (a batch) has no single parent: it carries each item's traceparent
along with the item, opens a span for each that is sampled (`trace.start`), and logs those with
`log.info("reserved", **trace.fields(tp))`.
"""

import contextlib
import os
import random
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

HEADER = "traceparent"
HEADER_BYTES = HEADER.encode()
_SHAPE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_VERSION_0_CHARS = 55
_SAMPLED_DIGITS = frozenset("13579bdf")
_RATIO_LIMIT = 2**64
"""OpenTelemetry decides by the lower half of a trace's id."""

Kind = Literal["internal", "server", "client", "producer", "consumer"]
"""OpenTelemetry's kinds of spans."""
Attributes = Mapping[str, str | int | float | bool]
"""Named by OpenTelemetry's semantic conventions. No personal data: they leave the system."""

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_ids = random.Random(os.urandom(16))
_ratio_bound = 0
_exporting: "_Exporting | None" = None


class _Root(str):
    """The context of a trace that begins here: its first span has no parent."""

    __slots__ = ()


class TraceContext(NamedTuple):
    """A parsed `traceparent`."""

    trace_id: str
    span_id: str
    sampled: bool


def configure(
    service: str, *, sample_ratio: float, processor: "SpanProcessor | None" = None, version: str = ""
) -> "TracerProvider | None":
    """Samples `sample_ratio` (0 to 1) of the requests that begin here; spans go to `processor`, if any."""
    global _exporting, _ratio_bound
    _ratio_bound = round(sample_ratio * _RATIO_LIMIT)
    if processor is None:
        _exporting = None
        return None
    _exporting = _Exporting(service, version, processor)
    return _exporting.provider


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
    sampled = trace_id % _RATIO_LIMIT < _ratio_bound
    text = f"00-{trace_id:032x}-{_ids.getrandbits(64) or 1:016x}-{sampled:02x}"
    return _Root(text) if sampled else text


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


def innermost(outer: str | None, inner: str | None) -> str | None:
    """`inner` where it belongs to the trace of `outer`, which is then somewhere above it; else `outer`, if any."""
    if outer is None or (inner is not None and outer[3:35] == inner[3:35]):
        return inner
    return outer


class OpenSpan:
    """A span under way. `traceparent` is what its children are told."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: "Span") -> None:
        made = span.get_span_context()
        self._span = span
        self.traceparent = f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"

    def describe(self, attributes: Attributes, *, name: str | None = None) -> None:
        """Adds what was not known at its begin."""
        self._span.set_attributes(attributes)
        if name is not None:
            self._span.update_name(name)

    def end(self, failure: str | None = None) -> None:
        """Ends it; `failure` names the kind of error that it ended with, not its text, which may be personal."""
        if failure is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", failure)
            self._span.set_status(Status(StatusCode.ERROR, failure))
        self._span.end()


def start(
    name: str, kind: Kind = "internal", *, parent: str | None = None, attributes: Attributes | None = None
) -> OpenSpan | None:
    """Opens a span without making it current; None where the trace is not sampled or spans go nowhere.

    `parent` is the current context by default.
    """
    if _exporting is None:
        return None
    context = parent if parent is not None else _current.get()
    return _exporting.start(name, kind, context, attributes) if is_sampled(context) else None


@contextlib.contextmanager
def ending(*opened: OpenSpan | None) -> Iterator[None]:
    """Ends spans with the block, as failed where it raises."""
    failure: str | None = None
    try:
        yield
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        for one in opened:
            if one is not None:
                one.end(failure)


class span:
    """A unit of work within the trace of `parent`; by default that of the current task.

    Where there is no span to make (see `start`) this only makes the parent current. An exception marks the span as
    failed and goes on; its text is not recorded, since it may hold personal data.
    """

    __slots__ = ("_attributes", "_kind", "_name", "_open", "_parent", "_token")

    def __init__(
        self,
        name: str,
        kind: Kind = "internal",
        *,
        parent: str | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self._name = name
        self._kind: Kind = kind
        self._parent = parent
        self._attributes = attributes
        self._open: OpenSpan | None = None
        self._token: Token[str | None] | None = None

    def __enter__(self) -> OpenSpan | None:
        parent = self._parent if self._parent is not None else _current.get()
        self._open = start(self._name, self._kind, parent=parent, attributes=self._attributes)
        self._token = _current.set(parent if self._open is None else self._open.traceparent)
        return self._open

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if self._open is not None:
            self._open.end(None if kind is None else kind.__name__)


class _Exporting:
    """OpenTelemetry's side of it, imported only where spans are exported."""

    def __init__(self, service: str, version: str, processor: "SpanProcessor") -> None:
        from opentelemetry import trace as otel
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        class Ids(RandomIdGenerator):
            """A trace that begins here has its id already."""

            trace_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

        self._otel = otel
        self._ids = Ids()
        about = {"service.name": service, "service.namespace": "sampan", "service.version": version}
        # What is sampled is decided before there is a span.
        self.provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(about), shutdown_on_exit=False, id_generator=self._ids
        )
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("sampan")

    def start(
        self, name: str, kind: Kind, parent: str | None, attributes: Attributes | None
    ) -> OpenSpan | None:
        context = parse(parent)
        if context is None:
            return None
        otel = self._otel
        trace_id = self._ids.trace_id = int(context.trace_id, 16)
        above: Any = otel.INVALID_SPAN
        if not isinstance(parent, _Root):
            above = otel.NonRecordingSpan(
                otel.SpanContext(trace_id, int(context.span_id, 16), True, otel.TraceFlags(1))
            )
        return OpenSpan(
            self._tracer.start_span(
                name,
                otel.set_span_in_context(above, otel.context_api.Context()),
                kind=otel.SpanKind[kind.upper()],
                attributes=attributes,
            )
        )
