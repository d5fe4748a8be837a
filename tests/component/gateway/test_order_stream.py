"""Following all orders of a tenant: who is told what, and what a stream may cost. Coming back is in test_resuming."""

from __future__ import annotations

from hashlib import sha256

import pytest
from prometheus_client import REGISTRY
from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway import order_feed, positions
from services.gateway.auth import Caller
from services.gateway.routes import order_stream
from tests.component.gateway.conftest import OPERATOR_KEY, Start, System
from tests.component.gateway.following import PATH, Tail, following, head, ids
from tests.component.gateway.ordering import until
from tests.component.gateway.test_edge import assert_problem


async def test_every_change_of_the_tenants_orders_is_told_and_none_of_anothers(system: System) -> None:
    tail = Tail(system.gateway.feed)
    mine = head(version=3, state=pb.ORDER_STATE_DELIVERED)
    theirs = head(tenant_id="other")
    async with following(system.storefront) as stream, following(system.other) as their_stream:
        assert positions.decode(stream.last_id) == [10, 20]
        tail.tell(theirs, mine)
        tail.tell(head(order_id=mine.order_id, version=4), partition=1)
        first, second = await stream.orders(2)
        assert first == {
            "order_id": mine.order_id,
            "merchant_id": "north-lights",
            "version": 3,
            "state": "delivered",
            "final": True,
        }
        assert (second["version"], second["final"]) == (4, False)
        assert positions.decode(stream.last_id) == [12, 21]
        assert ids(await their_stream.orders(1)) == [theirs.order_id]
    await until(lambda: not tail.feed._by_tenant)


async def test_a_stream_can_be_narrowed_to_a_merchant_and_a_state(system: System) -> None:
    tail = Tail(system.gateway.feed)
    wanted = head(merchant_id="south-lights", state=pb.ORDER_STATE_SHIPPED)
    async with following(system.storefront, merchant_id="south-lights", state="shipped") as stream:
        tail.tell(head(), head(merchant_id="south-lights"), head(state=pb.ORDER_STATE_SHIPPED), wanted)
        assert ids(await stream.orders(1)) == [wanted.order_id]


async def test_a_restricted_key_is_told_of_its_own_merchants_only(system: System) -> None:
    tail = Tail(system.gateway.feed)
    caller = Caller("demo", frozenset(("merchant",)), "key:1", "merchants", frozenset(("a", "b")))
    system.gateway.ring.put(sha256(b"of-a-and-b").digest(), caller, None)
    client = system.anonymous
    client.headers["X-API-Key"] = "of-a-and-b"
    heads = [head(merchant_id=merchant_id) for merchant_id in ("a", "c", "b")]
    async with following(client) as both, following(client, merchant_id="b") as one:
        tail.tell(*heads)
        assert ids(await both.orders(2)) == [heads[0].order_id, heads[2].order_id]
        assert ids(await one.orders(1)) == [heads[2].order_id]
    assert_problem(await client.get(PATH, params={"merchant_id": "c"}), 404, "MERCHANT_NOT_FOUND")


async def test_a_quiet_stream_moves_its_place_on(start: Start) -> None:
    system = await start(stream_heartbeat_s=0.05)
    tail = Tail(system.gateway.feed)
    async with following(system.storefront) as stream:
        tail.tell(head(tenant_id="other"), head(tenant_id="other"), partition=1)
        while positions.decode(stream.last_id) != [10, 22]:
            assert "data" not in await stream.block()


async def test_a_stream_without_demand_is_not_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_feed, "LINGER_S", 0.01)
    tail = Tail(system.gateway.feed)
    assert not tail.feed.wants(b"any")
    async with following(system.storefront):
        assert tail.wanted
        assert tail.feed.wants(b"any")
    await until(lambda: not tail.wanted)
    assert not tail.feed.wants(b"any")


@pytest.mark.parametrize("last_id", ["7", "AQ", "AYICxwEBgQM=", "x" * 2000])
async def test_an_id_that_is_none_is_refused(system: System, last_id: str) -> None:
    Tail(system.gateway.feed)
    answer = await system.storefront.get(PATH, headers={"Last-Event-ID": last_id})
    problem = assert_problem(answer, 400, "HEADER_INVALID")
    assert [place["header"] for place in problem["errors"]] == ["Last-Event-ID"]  # type: ignore[attr-defined]


async def test_a_stream_that_cannot_begin_is_refused(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_stream, "BEGIN_S_MAX", 0.01)
    tail = Tail(system.gateway.feed)
    tail.live.clear()
    tail.positions.clear()
    answer = await system.storefront.get(PATH)
    assert_problem(answer, 503, "DEPENDENCY_UNAVAILABLE")
    assert "retry-after" in answer.headers


async def test_a_caller_has_a_bound_of_its_own(start: Start) -> None:
    system = await start(streams_of_caller_max=1, streams_max=2)
    Tail(system.gateway.feed)
    async with following(system.storefront):
        refused = await system.storefront.get("/v1/availability/events", params={"skus": "W"})
        assert_problem(refused, 429, "OVERLOADED")
        assert refused.headers["retry-after"] == "5"
        async with following(system.other):
            # That is all that there may be.
            assert_problem(await system.operator.get(PATH), 429, "OVERLOADED")
    await until(lambda: not system.gateway.streams._of_caller)
    async with following(system.storefront, "/v1/availability/events", skus="W"):
        pass


async def test_a_client_that_does_not_keep_up_is_cut_off(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_feed, "WATCH_NEWS_MAX", 3)
    tail = Tail(system.gateway.feed)
    cut = _cut()
    async with following(system.storefront) as stream, following(system.other) as quick:
        # In one batch: there is no time to read between them.
        tail.tell(*[head(version=version) for version in range(1, 5)], head(tenant_id="other"))
        assert await stream.rest() == []
        assert positions.decode(stream.last_id) == [10, 20]
        assert len(await quick.orders(1)) == 1
    assert _cut() == cut + 1


def _cut() -> float:
    return REGISTRY.get_sample_value("sampan_gateway_streams_cut_total", {"kind": "orders"}) or 0.0


async def test_streams_end_when_the_gateway_goes_or_the_topic_has_a_gap(system: System) -> None:
    tail = Tail(system.gateway.feed)
    for end in (tail.feed.lose, system.gateway.end_streams):
        async with following(system.storefront) as stream:
            end()
            assert await stream.rest() == []


async def test_a_stream_ends_once_its_key_was_revoked(system: System) -> None:
    tail = Tail(system.gateway.feed)
    async with following(system.operator) as stream:
        tail.tell(head())
        await stream.orders(1)
        system.gateway.ring.remove(sha256(OPERATOR_KEY.encode()).digest())
        tail.tell(head())
        assert await stream.rest() == []


async def test_the_path_of_the_stream_is_no_order(system: System) -> None:
    answer = await system.storefront.post(PATH)
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
