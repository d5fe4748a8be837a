"""The spans of events that are applied: what comes of an event goes on from its span."""

import contextlib
from collections.abc import Iterator, Sequence

from services.chassis import trace
from services.chassis.envelope import Event


@contextlib.contextmanager
def followed(group: str, events: Sequence[Event]) -> Iterator[None]:
    """A span for each event whose trace is sampled, as long as the block; it is the event's `traceparent` then.

    Where the block raises, the events are as they were sent: they will be applied again.
    """
    sampled = [event for event in events if trace.is_sampled(event.traceparent)]
    sent = [event.traceparent for event in sampled]
    spans = [_begin_span(group, event) for event in sampled]
    for event, span in zip(sampled, spans, strict=True):
        event.traceparent = event.traceparent if span is None else span.traceparent
    try:
        with trace.ending(*spans):
            yield
    except BaseException:
        for event, traceparent in zip(sampled, sent, strict=True):
            event.traceparent = traceparent
        raise


def _begin_span(group: str, event: Event) -> trace.OpenSpan | None:
    about: trace.Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": event.topic,
        "messaging.destination.partition.id": str(event.partition),
        "messaging.kafka.offset": event.offset,
        "messaging.consumer.group.name": group,
        "messaging.message.id": str(event.event_id),
    }
    return trace.start(f"process {event.topic}", "consumer", parent=event.traceparent, attributes=about)
