"""Parked events by gRPC, as every service serves them: seen, replayed in bounded steps, given up."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from sampan.operations.v1 import parked_event_service_pb2 as pb
from sampan.operations.v1 import parked_event_service_pb2_grpc as pb_grpc

from services.chassis.config import ServiceSettings
from services.chassis.consumer import Handler
from services.chassis.errors import DomainError
from services.chassis.pg import Database
from services.chassis.rpc import parked_events
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of
from tests.integration.chassis.consuming import (
    a_few,
    consuming,
    effects,
    effects_are,
    passed,
    poisoned_by,
    record,
)
from tests.integration.chassis.topics import eventually, produce

if TYPE_CHECKING:
    from sampan.operations.v1.parked_event_service_pb2_grpc import ParkedEventServiceAsyncStub

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

ACTOR = "platform"


class Served:
    """The service over a ledger, and how often it has said that there may be something to send."""

    def __init__(self, stub: ParkedEventServiceAsyncStub) -> None:
        self.stub = stub
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    async def listed(self, group: str, **filters: Any) -> list[pb.ParkedEvent]:
        """Everything that is parked, page by page."""
        request = pb.ListParkedEventsRequest(group=group, **filters)
        found: list[pb.ParkedEvent] = []
        while True:
            page = await self.stub.ListParkedEvents(request)
            found += page.events
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def replay(self, group: str, **changes: Any) -> pb.ReplayParkedEventsResponse:
        request = pb.ReplayParkedEventsRequest(**({"group": group, "actor": ACTOR} | changes))
        return await self.stub.ReplayParkedEvents(request)

    async def discard(self, group: str, *ids: int, **changes: Any) -> list[int]:
        asked = {"group": group, "parked_event_ids": ids, "actor": ACTOR, "note": "void"} | changes
        answer = await self.stub.DiscardParkedEvents(pb.DiscardParkedEventsRequest(**asked))
        return list(answer.discarded_ids)


@contextlib.asynccontextmanager
async def serving(ledger: Database, group: str, handler: Handler = record) -> AsyncIterator[Served]:
    """A server of its own, whose group has this handler."""
    server = make_server(ServiceSettings(), max_concurrent=8)
    port = server.add_insecure_port("127.0.0.1:0")
    async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
        served = Served(pb_grpc.ParkedEventServiceStub(channel))
        parked_events.attach(server, ledger, {group: handler}, after_replay=served.wake)
        await server.start()
        try:
            yield served
        finally:
            await server.stop(None)


async def refusal(call: Awaitable[object]) -> DomainError:
    """The error that a call has to end with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_of(caught.value)


async def park(
    ledger: Database, bootstrap: str, topic: str, events: list[tuple[str, int]], *poison: tuple[str, int]
) -> None:
    """Sends events of which these are poison, and lets a consumer park what it must."""
    await produce(bootstrap, topic, events)
    async with consuming(ledger, bootstrap, topic, poisoned_by(*poison)):
        await eventually(lambda: passed(ledger, len(events)))


async def test_a_poisoned_aggregate_is_seen_and_replayed_while_its_group_reads_on(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    await produce(kafka_server, topic, a_few(4, 3))
    sound = {f"a{n}": [1, 2, 3] for n in range(4) if n != 2} | {"a2": [1]}
    async with (
        consuming(ledger, kafka_server, topic, poisoned_by(("a2", 2))),
        serving(ledger, group) as served,
    ):
        await eventually(lambda: passed(ledger, 12))
        [counted] = (await served.stub.ListParkedGroups(pb.ListParkedGroupsRequest())).groups
        assert (counted.group, counted.events) == (group, 2)
        first, second = await served.listed(group)
        assert counted.oldest_park_time == first.park_time
        assert (first.aggregate_id, first.version, first.cause) == ("a2", 2, pb.PARK_CAUSE_FAILED)
        assert (first.topic, first.attempts, "POISON" in first.detail) == (topic, 0, True)
        assert (second.version, second.cause) == (3, pb.PARK_CAUSE_BLOCKED)
        assert await served.listed(group, aggregate_id="a1") == []
        assert await served.listed(group, aggregate_id="a2") == [first, second]

        done = await served.replay(group)
        assert (done.replayed, list(done.failures), done.next_page_token) == (2, [], "")
        assert served.woken == 1
        # What was applied is applied once, and what comes next flows again.
        await produce(kafka_server, topic, [("a2", 2), ("a2", 4)])
        await eventually(effects_are(ledger, sound | {"a2": [1, 2, 3, 4]}))
        again = await served.replay(group)
        assert (again.replayed, list(again.failures)) == (0, [])
        assert await served.listed(group) == []
    async with ledger.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT state, resolved_by FROM parked_event")
    assert [tuple(row) for row in rows] == [("REPLAYED", ACTOR)]


async def test_nothing_is_told_of_what_an_event_holds(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """It may be anything of anybody."""
    group = f"group.{topic}"
    await produce(kafka_server, topic, [("a", 1)], payload=b"Ana Garcia")
    async with (
        consuming(ledger, kafka_server, topic, poisoned_by(("a", 1))),
        serving(ledger, group) as served,
    ):
        await eventually(lambda: passed(ledger, 1))
        [parked] = await served.listed(group)
    assert b"Ana" not in parked.SerializeToString()


async def test_one_aggregate_is_replayed_and_the_others_stay(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    await park(ledger, kafka_server, topic, [("a", 1), ("b", 1)], ("a", 1), ("b", 1))
    async with serving(ledger, group) as served:
        assert (await served.replay(group, aggregate_id="b")).replayed == 1
        assert [one.aggregate_id for one in await served.listed(group)] == ["a"]
    assert await effects(ledger) == {"b": [1]}


async def test_a_replay_of_many_aggregates_goes_on_behind_those_that_still_fail(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    """Else the first of them would be tried again for ever, and the last never."""
    group = f"group.{topic}"
    count = parked_events.REPLAY_AGGREGATES_MAX + 10
    poison = [(f"a{n:03}", 1) for n in range(count)]
    await park(ledger, kafka_server, topic, poison, *poison)
    last = poison[-1][0]
    async with serving(ledger, group, poisoned_by(*poison[:-1])) as served:
        first = await served.replay(group)
        assert (first.replayed, len(first.failures)) == (0, parked_events.REPLAY_AGGREGATES_MAX)
        assert all("POISON" in failure.detail for failure in first.failures)
        second = await served.replay(group, page_token=first.next_page_token)
        assert (second.replayed, len(second.failures), second.next_page_token) == (1, 9, "")
        assert await effects(ledger) == {last: [1]}
        assert {one.attempts for one in await served.listed(group)} == {1}
        elsewhere = served.replay(group, page_token=first.next_page_token, across_gaps=True)
        assert (await refusal(elsewhere)).reason == "PAGE_TOKEN_MISMATCH"


async def test_a_replay_of_many_events_ends_at_its_bound_and_goes_on_with_the_same_aggregate(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    count = parked_events.REPLAY_EVENTS_MAX + 20
    await park(ledger, kafka_server, topic, [("a", version + 1) for version in range(count)], ("a", 1))
    async with serving(ledger, group) as served:
        first = await served.replay(group)
        assert (first.replayed, first.next_page_token != "") == (parked_events.REPLAY_EVENTS_MAX, True)
        second = await served.replay(group, page_token=first.next_page_token)
        assert (second.replayed, second.next_page_token) == (20, "")
    assert await effects(ledger) == {"a": list(range(1, count + 1))}


async def test_what_is_missing_is_given_up_only_where_it_is_said(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    await park(ledger, kafka_server, topic, [("a", 1), ("a", 3)])
    async with serving(ledger, group) as served:
        [failure] = (await served.replay(group)).failures
        assert (failure.aggregate_id, "version 2 is missing" in failure.detail) == ("a", True)
        assert (await served.replay(group, across_gaps=True)).replayed == 1
    assert await effects(ledger) == {"a": [1, 3]}


async def test_discarded_events_are_named_and_recorded_and_the_rest_goes_on(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    await park(ledger, kafka_server, topic, [("a", 1), ("a", 2)], ("a", 1))
    async with serving(ledger, group) as served:
        first, second = [one.parked_event_id for one in await served.listed(group)]
        assert await served.discard(group, first, second + 1_000) == [first]
        assert await served.discard(group, first) == []
        assert (await served.replay(group)).replayed == 1
    assert await effects(ledger) == {"a": [2]}
    async with ledger.connection() as connection:
        row = await connection.fetchrow(
            "SELECT state, resolved_by, resolve_note FROM parked_event WHERE id = $1", first
        )
    assert tuple(row) == ("DISCARDED", ACTOR, "void")


async def test_a_list_comes_in_pages_bound_to_their_filter(
    ledger: Database, kafka_server: str, topic: str
) -> None:
    group = f"group.{topic}"
    await park(ledger, kafka_server, topic, [("a", version) for version in range(1, 6)], ("a", 1))
    async with serving(ledger, group) as served:
        assert [one.version for one in await served.listed(group, page_size=2)] == [1, 2, 3, 4, 5]
        page = await served.stub.ListParkedEvents(pb.ListParkedEventsRequest(group=group, page_size=2))
        other = pb.ListParkedEventsRequest(group=group, aggregate_id="a", page_token=page.next_page_token)
        assert (await refusal(served.stub.ListParkedEvents(other))).reason == "PAGE_TOKEN_MISMATCH"


async def test_what_is_asked_wrongly_changes_nothing(ledger: Database, kafka_server: str, topic: str) -> None:
    group = f"group.{topic}"
    await park(ledger, kafka_server, topic, [("a", 1)], ("a", 1))
    async with serving(ledger, group) as served:
        [parked] = await served.listed(group)
        some = range(1, parked_events.DISCARD_IDS_MAX + 2)
        for call, reason, field in (
            (served.listed("nobody"), "GROUP_UNKNOWN", "group"),
            (served.listed(group, aggregate_id="\0"), "FIELD_INVALID", "aggregate_id"),
            (served.listed(group, page_token="none"), "PAGE_TOKEN_INVALID", "page_token"),
            (served.replay("nobody"), "GROUP_UNKNOWN", "group"),
            (served.replay(group, actor=""), "FIELD_REQUIRED", "actor"),
            (served.discard("nobody", parked.parked_event_id), "GROUP_UNKNOWN", "group"),
            (served.discard(group), "FIELD_REQUIRED", "parked_event_ids"),
            (served.discard(group, *some), "TOO_MANY_ITEMS", "parked_event_ids"),
            (served.discard(group, parked.parked_event_id, note="  "), "FIELD_REQUIRED", "note"),
            (served.discard(group, parked.parked_event_id, note="x" * 501), "FIELD_INVALID", "note"),
            (served.discard(group, parked.parked_event_id, note="a\nb"), "FIELD_INVALID", "note"),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason, refused.field) == ("INVALID_ARGUMENT", reason, field)
        assert await served.listed(group) == [parked]
