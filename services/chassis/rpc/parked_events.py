"""The gRPC service of parked events, one for all services that read events: the same functions as their commands."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import grpc
from sampan.operations.v1 import parked_event_service_pb2 as pb
from sampan.operations.v1 import parked_event_service_pb2_grpc as pb_grpc

from services.chassis import pages
from services.chassis.consumer import (
    Handler,
    ParkedEvent,
    discard_parked,
    list_parked,
    measure_parked,
    replay_parked,
    require_group,
)
from services.chassis.errors import FieldInvalid, FieldRequired, TooManyItems
from services.chassis.pg import Database
from services.chassis.rpc import times

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
REPLAY_AGGREGATES_MAX = 50
REPLAY_EVENTS_MAX = 500
DISCARD_IDS_MAX = 500
ACTOR_CHARS_MAX = 100
NOTE_CHARS_MAX = 500
CURSOR_CHARS_MAX = 120
"""Of an aggregate's id, so that a token stays one. Ids of ours are shorter; of a longer one, which only a record that
is no event can have, the next call tries the aggregate once more and goes on."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def attach(
    server: grpc.aio.Server,
    database: Database,
    handlers: Mapping[str, Handler],
    *,
    after_replay: Callable[[], None],
) -> str:
    """Adds the service to a server and returns its full name."""
    service = ParkedEventService(database, handlers, after_replay)
    pb_grpc.add_ParkedEventServiceServicer_to_server(service, server)
    name: str = pb.DESCRIPTOR.services_by_name["ParkedEventService"].full_name
    return name


class ParkedEventService(pb_grpc.ParkedEventServiceServicer):
    """See parked_event_service.proto. `handlers` are those of the consumer groups, by their names."""

    def __init__(
        self, database: Database, handlers: Mapping[str, Handler], after_replay: Callable[[], None]
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._after_replay = after_replay

    async def ListParkedGroups(
        self, request: pb.ListParkedGroupsRequest, context: Context
    ) -> pb.ListParkedGroupsResponse:
        """Counts what is parked."""
        reply = pb.ListParkedGroupsResponse()
        for name in sorted(self._handlers):
            count, since = await measure_parked(self._database, name)
            group = reply.groups.add(group=name, events=count)
            times.write(group.oldest_park_time, since)
        return reply

    async def ListParkedEvents(
        self, request: pb.ListParkedEventsRequest, context: Context
    ) -> pb.ListParkedEventsResponse:
        """Reads a page of parked events."""
        require_group(self._handlers, request.group)
        aggregate_id = _aggregate_id(request.aggregate_id)
        size = pages.page_size(request.page_size, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)
        bound_to = pages.filter_hash("parked.list", request.group, aggregate_id)
        cursor = pages.decode(bound_to, request.page_token)
        found = await list_parked(
            self._database,
            request.group,
            after_id=int(cursor[0]) if cursor else 0,
            aggregate_id=aggregate_id,
            limit=size + 1,
        )
        more = len(found) > size
        found = found[:size]
        return pb.ListParkedEventsResponse(
            events=map(_message, found),
            next_page_token=pages.encode(bound_to, [found[-1].id]) if more else "",
        )

    async def ReplayParkedEvents(
        self, request: pb.ReplayParkedEventsRequest, context: Context
    ) -> pb.ReplayParkedEventsResponse:
        """Hands parked events to their handler again."""
        require_group(self._handlers, request.group)
        _require_text("actor", request.actor, ACTOR_CHARS_MAX)
        aggregate_id = _aggregate_id(request.aggregate_id)
        bound_to = pages.filter_hash("parked.replay", request.group, aggregate_id, request.across_gaps)
        cursor = pages.decode(bound_to, request.page_token)
        try:
            report = await replay_parked(
                self._database,
                request.group,
                self._handlers[request.group],
                actor=request.actor,
                aggregate_id=aggregate_id,
                aggregates_max=REPLAY_AGGREGATES_MAX,
                events_max=REPLAY_EVENTS_MAX,
                across_gaps=request.across_gaps,
                after=(str(cursor[0]), str(cursor[1])) if cursor else ("", ""),
            )
        finally:
            # What it has done before it failed is done.
            self._after_replay()
        return pb.ReplayParkedEventsResponse(
            replayed=report.replayed,
            failures=[
                pb.ReplayFailure(topic=topic, aggregate_id=failed_id, detail=detail)
                for (topic, failed_id), detail in report.failures.items()
            ],
            next_page_token=_token(bound_to, report.after),
        )

    async def DiscardParkedEvents(
        self, request: pb.DiscardParkedEventsRequest, context: Context
    ) -> pb.DiscardParkedEventsResponse:
        """Gives parked events up."""
        require_group(self._handlers, request.group)
        _require_text("actor", request.actor, ACTOR_CHARS_MAX)
        _require_text("note", request.note, NOTE_CHARS_MAX)
        ids = request.parked_event_ids
        if not ids:
            raise FieldRequired("parked_event_ids")
        if len(ids) > DISCARD_IDS_MAX:
            raise TooManyItems("parked_event_ids", DISCARD_IDS_MAX)
        discarded = await discard_parked(
            self._database, request.group, ids, actor=request.actor, note=request.note
        )
        return pb.DiscardParkedEventsResponse(discarded_ids=discarded)


def _message(event: ParkedEvent) -> pb.ParkedEvent:
    message = pb.ParkedEvent(
        parked_event_id=event.id,
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        aggregate_id=event.aggregate_id,
        version=event.version or 0,
        event_type=event.type or "",
        cause=pb.ParkCause.Value(f"PARK_CAUSE_{event.cause}"),
        detail=event.detail,
        attempts=event.attempts,
    )
    times.write(message.record_time, event.record_time)
    times.write(message.park_time, event.park_time)
    return message


def _token(bound_to: bytes, after: tuple[str, str] | None) -> str:
    if after is None:
        return ""
    topic, aggregate_id = after
    return pages.encode(bound_to, [topic, aggregate_id[:CURSOR_CHARS_MAX]])


def _aggregate_id(value: str) -> str | None:
    """The id to look for, None for all."""
    if "\0" in value:
        raise FieldInvalid("aggregate_id", "without NUL characters")
    return value or None


def _require_text(name: str, value: str, chars_max: int) -> None:
    if not value.strip():
        raise FieldRequired(name)
    if len(value) > chars_max or not value.isprintable():
        raise FieldInvalid(name, f"at most {chars_max} printable characters")
