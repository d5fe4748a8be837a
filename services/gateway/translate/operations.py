"""Parked events between the contract and the public documents."""

from sampan.operations.v1 import parked_event_service_pb2 as pb

from services.gateway.schemas.operations import (
    ParkedEvent,
    ParkedGroup,
    ReplayFailure,
    ReplayReport,
)
from services.gateway.translate.values import Words, time_of

PARK_CAUSE = Words(pb.ParkCause, "PARK_CAUSE_")


def group_of(service: str, message: pb.ParkedGroup) -> ParkedGroup:
    """A group's document."""
    return ParkedGroup(
        group=message.group,
        service=service,
        events=message.events,
        oldest_park_time=time_of(message, "oldest_park_time"),
    )


def parked_event_of(message: pb.ParkedEvent) -> ParkedEvent:
    """A parked event's document."""
    return ParkedEvent(
        parked_event_id=message.parked_event_id,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        aggregate_id=message.aggregate_id,
        version=message.version or None,
        event_type=message.event_type or None,
        cause=PARK_CAUSE.word(message.cause),
        detail=message.detail,
        record_time=time_of(message, "record_time"),
        park_time=time_of(message, "park_time"),
        attempts=message.attempts,
    )


def report_of(message: pb.ReplayParkedEventsResponse) -> ReplayReport:
    """The document of what a replay did."""
    return ReplayReport(
        replayed=message.replayed,
        failures=[
            ReplayFailure(topic=one.topic, aggregate_id=one.aggregate_id, detail=one.detail)
            for one in message.failures
        ],
        next_page_token=message.next_page_token,
    )
