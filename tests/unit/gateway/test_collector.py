"""Which orders travel together, and what one of them may cost the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from google.type.postal_address_pb2 import PostalAddress
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis.errors import DeadlineExceeded
from services.chassis.rpc import deadline
from services.gateway import collector as module
from services.gateway.collector import PlacementCollector


class Calls:
    """What is called; a call waits for the gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.batches: list[list[str]] = []
        self.left_s: list[float] = []

    async def place(self, request: pb.BatchPlaceOrdersRequest) -> pb.BatchPlaceOrdersResponse:
        """Answers as many results as there are orders."""
        self.batches.append([one.request_id for one in request.requests])
        self.left_s.append(deadline.remaining_s() or 0.0)
        await self.gate.wait()
        return pb.BatchPlaceOrdersResponse(results=[pb.PlaceOrderResult() for _ in request.requests])


def collector_of(calls: Calls, *, place_s_max: float = 10.0, calls_max: int = 1) -> PlacementCollector:
    """By default with one call at a time."""
    return PlacementCollector(
        calls.place,
        batch_orders_max=100,
        batch_lines_max=1000,
        queue_orders_max=100,
        calls_max=calls_max,
        place_s_max=place_s_max,
    )


async def turns(condition: Callable[[], bool]) -> None:
    """Lets the loop run until something is so."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise TimeoutError


async def test_large_orders_fill_no_call_beyond_what_a_message_may_have() -> None:
    """One tenant's large orders made the call of all who travelled with them fail."""
    calls = Calls()
    collector = collector_of(calls)
    large = PostalAddress(organization="x" * (module.BATCH_BYTES_MAX // 3))
    orders = [pb.PlaceOrderRequest(request_id=str(number), ship_to=large) for number in range(5)]
    placing = asyncio.gather(*(collector.place(one) for one in orders))
    calls.gate.set()
    await placing
    await collector.close()
    assert [name for batch in calls.batches for name in batch] == ["0", "1", "2", "3", "4"]
    assert max(len(batch) for batch in calls.batches) == 2


async def test_an_order_without_time_left_does_not_take_the_others_with_it() -> None:
    """The oldest order's rest is the deadline of the whole call."""
    calls = Calls()
    collector = collector_of(calls)
    first = asyncio.create_task(collector.place(pb.PlaceOrderRequest(request_id="first")))
    await turns(lambda: bool(calls.batches))
    late, fresh = (
        asyncio.create_task(collector.place(pb.PlaceOrderRequest(request_id=name)))
        for name in ("late", "fresh")
    )
    await turns(lambda: len(collector._waiting) == 2)
    request, future, _ = collector._waiting[0]
    almost_s = asyncio.get_running_loop().time() + module.REST_S_MIN / 2
    collector._waiting[0] = (request, future, almost_s)
    calls.gate.set()
    await asyncio.gather(first, fresh)
    with pytest.raises(DeadlineExceeded):
        await late
    await collector.close()
    assert calls.batches == [["first"], ["fresh"]]
    assert calls.left_s[1] > 1


@pytest.mark.parametrize(("orders", "sizes"), [(64, [32, 32]), (33, [17, 16]), (20, [16, 4]), (16, [16])])
async def test_many_orders_share_the_calls_and_few_travel_together(orders: int, sizes: list[int]) -> None:
    """With all in one call the gateway stands still until its answer."""
    calls = Calls()
    collector = collector_of(calls, calls_max=2)
    placing = asyncio.gather(
        *(collector.place(pb.PlaceOrderRequest(request_id=str(number))) for number in range(orders))
    )
    await turns(lambda: sum(len(batch) for batch in calls.batches) == orders)
    calls.gate.set()
    await placing
    await collector.close()
    assert [len(batch) for batch in calls.batches] == sizes
