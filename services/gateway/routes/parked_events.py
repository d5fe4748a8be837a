"""Parked events, for the platform's own people: they are those of all tenants."""

import asyncio
from typing import TYPE_CHECKING

import msgspec
from sampan.operations.v1 import parked_event_service_pb2 as pb

from services.chassis.errors import DeadlineExceeded, InvalidArgument, Unavailable
from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import PLATFORM_ONLY
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.schemas.operations import (
    AGGREGATE_ID_CHARS_MAX,
    DiscardParkedEvents,
    DiscardReport,
    ParkedEventPage,
    ParkedGroup,
    ParkedGroupList,
    ReplayParkedEvents,
    ReplayReport,
)
from services.gateway.translate.operations import group_of, parked_event_of, report_of

if TYPE_CHECKING:
    # The generated code tells the two kinds of stubs apart in its types only.
    from sampan.operations.v1.parked_event_service_pb2_grpc import ParkedEventServiceAsyncStub

TAG = "parked-events"


class ParkedEvents(Resource):
    """List groups and events, replay, discard."""

    _replay_decoder = msgspec.json.Decoder(ReplayParkedEvents)
    _discard_decoder = msgspec.json.Decoder(DiscardParkedEvents)

    async def groups(self, call: Call) -> Reply:
        """GET /v1/parked-groups"""
        services = self.clients.parked_events
        answers = await asyncio.gather(*(self._groups_of(*one) for one in services.items()))
        by_service = dict(zip(services, answers, strict=True))
        known = [group for groups in answers if groups is not None for group in groups]
        return document(
            ParkedGroupList(
                parked_groups=sorted(known, key=lambda one: one.group),
                unreachable_services=[name for name, groups in by_service.items() if groups is None],
            )
        )

    async def page(self, call: Call) -> Reply:
        """GET /v1/parked-events"""
        request = pb.ListParkedEventsRequest(
            group=call.query["group"],
            aggregate_id=call.query["aggregate_id"],
            page_size=call.query["page_size"],
            page_token=call.query["page_token"],
        )
        page = await self.clients.call(self._service_of(request.group).ListParkedEvents, request)
        return document(
            ParkedEventPage(
                parked_events=[parked_event_of(one) for one in page.events],
                next_page_token=page.next_page_token,
            )
        )

    async def replay(self, call: Call) -> Reply:
        """POST /v1/parked-events:replay"""
        asked = await self.read(call, self._replay_decoder)
        request = pb.ReplayParkedEventsRequest(
            group=asked.group,
            aggregate_id=asked.aggregate_id,
            across_gaps=asked.across_gaps,
            page_token=asked.page_token,
            actor=call.caller.actor,
        )
        report = await self.clients.call(self._service_of(asked.group).ReplayParkedEvents, request)
        return document(report_of(report))

    async def discard(self, call: Call) -> Reply:
        """POST /v1/parked-events:discard"""
        asked = await self.read(call, self._discard_decoder)
        request = pb.DiscardParkedEventsRequest(
            group=asked.group,
            parked_event_ids=asked.parked_event_ids,
            note=asked.note,
            actor=call.caller.actor,
        )
        report = await self.clients.call(self._service_of(asked.group).DiscardParkedEvents, request)
        discarded = list(report.discarded_ids)
        others = set(asked.parked_event_ids).difference(discarded)
        return document(DiscardReport(discarded_ids=discarded, not_parked_ids=sorted(others)))

    async def _groups_of(self, service: str, stub: "ParkedEventServiceAsyncStub") -> list[ParkedGroup] | None:
        """A service's groups; None where it does not answer, so that those of the others are seen all the same."""
        try:
            answer = await self.clients.call(stub.ListParkedGroups, pb.ListParkedGroupsRequest())
        except (Unavailable, DeadlineExceeded):
            return None
        return [group_of(service, one) for one in answer.groups]

    def _service_of(self, group: str) -> "ParkedEventServiceAsyncStub":
        """Whose group it is, by its name."""
        stub = self.clients.parked_events.get(group.partition(".")[0])
        if stub is None:
            raise InvalidArgument("GROUP_UNKNOWN", "there is no such group", field="group")
        return stub

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/v1/parked-groups",
                self.groups,
                PLATFORM_ONLY,
                TAG,
                "List the consumer groups, and how many events are parked in each",
                answer=ParkedGroupList,
                answer_example=examples.PARKED_GROUPS,
            ),
            Route(
                "GET",
                "/v1/parked-events",
                self.page,
                PLATFORM_ONLY,
                TAG,
                "List the parked events of a group",
                "Without what they hold. They are those of all tenants.",
                query=(
                    params.text(
                        "group",
                        "A consumer group.",
                        chars_max=256,
                        required=True,
                        example="orders.fulfilments",
                    ),
                    params.text(
                        "aggregate_id", "Only those of this aggregate.", chars_max=AGGREGATE_ID_CHARS_MAX
                    ),
                    *params.paging(200, 50),
                ),
                answer=ParkedEventPage,
                answer_example=examples.PARKED_EVENTS,
                reasons=("GROUP_UNKNOWN", "PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "POST",
                "/v1/parked-events:replay",
                self.replay,
                PLATFORM_ONLY,
                TAG,
                "Hand parked events to their handler again",
                "Aggregate by aggregate, each in the order of its versions up to its first failure, while the group "
                "reads on; repeating it doubles nothing. A request tries at most 50 aggregates and 500 events: "
                "where `next_page_token` is not empty, send it as `page_token` to go on.",
                body=ReplayParkedEvents,
                body_example=examples.REPLAY_PARKED_EVENTS,
                answer=ReplayReport,
                reasons=("GROUP_UNKNOWN", "PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "POST",
                "/v1/parked-events:discard",
                self.discard,
                PLATFORM_ONLY,
                TAG,
                "Give parked events up for good",
                "Their aggregates go on without them once what is parked behind is replayed.",
                body=DiscardParkedEvents,
                body_example=examples.DISCARD_PARKED_EVENTS,
                answer=DiscardReport,
                reasons=("GROUP_UNKNOWN", "TOO_MANY_ITEMS"),
            ),
        )
