"""The stream of one order: from its state to its end."""

from __future__ import annotations

import asyncio

from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key, order_event, placed_order, until
from tests.component.gateway.test_edge import assert_problem


async def test_a_stream_tells_the_state_then_the_changes_and_ends(system: System) -> None:
    order = await placed_order(system)
    lines: list[str] = []
    async with system.storefront.stream("GET", f"/v1/orders/{order.order_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            lines.append(line)
            if line == "id: 1":
                moved = system.orders.move(order.order_id, pb.ORDER_STATE_CONFIRMED)
                system.gateway.feed.apply([order_event(order), order_event(moved)])
            if line == "id: 2":
                moved = system.orders.move(order.order_id, pb.ORDER_STATE_DELIVERED)
                system.gateway.feed.apply([order_event(moved)])
    data = [line for line in lines if line.startswith("data: ")]
    assert len(data) == 3
    assert '"state":"pending","final":false' in data[0]
    assert '"state":"confirmed","final":false' in data[1]
    assert '"state":"delivered","final":true' in data[2]


async def test_a_stream_of_a_final_order_ends_at_once_and_of_another_tenant_is_404(system: System) -> None:
    order = await placed_order(system)
    path = f"/v1/orders/{order.order_id}/events"
    assert_problem(await system.other.get(path), 404, "ORDER_NOT_FOUND")
    system.orders.move(order.order_id, pb.ORDER_STATE_CANCELLED)
    answer = await asyncio.wait_for(system.storefront.get(path), 5)
    assert '"final":true' in answer.text


async def test_a_quiet_stream_has_heartbeats_and_sees_what_the_feed_missed(start: Start) -> None:
    system = await start(stream_heartbeat_s=0.1)
    order = await placed_order(system)
    beats = 0
    async with system.storefront.stream("GET", f"/v1/orders/{order.order_id}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith(":"):
                beats += 1
                if beats == 2:
                    system.orders.move(order.order_id, pb.ORDER_STATE_EXPIRED)
    assert beats >= 2


async def test_streams_are_bounded_and_leave_nothing_behind(start: Start) -> None:
    system = await start(streams_max=1)
    order = await placed_order(system)
    path = f"/v1/orders/{order.order_id}/events"
    async with system.storefront.stream("GET", path) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data"):
                break
        assert_problem(await system.storefront.get(path), 429, "OVERLOADED")
    await until(lambda: not system.gateway.feed._by_order)
    assert (await asyncio.wait_for(_first_line(system, path), 5)).startswith("retry")


async def test_an_order_that_cannot_be_waited_for_is_acknowledged_all_the_same(start: Start) -> None:
    system = await start(streams_max=1)
    order = await placed_order(system)
    async with system.storefront.stream("GET", f"/v1/orders/{order.order_id}/events") as stream:
        lines = stream.aiter_lines()
        while not (await anext(lines)).startswith("data"):
            pass
        answer = await system.storefront.post(
            "/v1/orders", json=examples.ORDER, headers=key() | {"Prefer": "wait=5"}
        )
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    assert "preference-applied" not in answer.headers


async def test_streams_do_not_take_the_place_of_requests(start: Start) -> None:
    system = await start(streams_max=2, requests_max=1)
    order = await placed_order(system)
    path = f"/v1/orders/{order.order_id}"
    async with system.storefront.stream("GET", f"{path}/events") as stream:
        lines = stream.aiter_lines()
        while not (await anext(lines)).startswith("data"):
            pass
        assert (await system.storefront.get(path)).status_code == 200


async def _first_line(system: System, path: str) -> str:
    async with system.storefront.stream("GET", path) as stream:
        async for line in stream.aiter_lines():
            return line
    return ""


async def test_streams_end_when_the_gateway_goes(system: System) -> None:
    order = await placed_order(system)
    async with system.storefront.stream("GET", f"/v1/orders/{order.order_id}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data"):
                system.gateway.feed.close()
