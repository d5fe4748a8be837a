"""Which readings of orders travel together, and that none is answered by an older call."""

from __future__ import annotations

import asyncio

import pytest
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis.errors import NotFound, Unavailable
from services.chassis.rpc.status import status_of
from services.gateway.order_reader import BATCH_ORDERS_MAX, CALLS_MAX, OrderReader

LARGE, UNKNOWN = "large", "unknown"


class Calls:
    """What is called; a call waits for the gate, and an order's version is the number of its call."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.batches: list[list[str]] = []
        self.alone: list[str] = []

    async def get_many(self, request: pb.BatchGetOrdersRequest) -> pb.BatchGetOrdersResponse:
        """Answers as orders does."""
        self.batches.append([one.order_id for one in request.requests])
        number = len(self.batches)
        if number == CALLS_MAX:
            self.begun.set()
        await self.gate.wait()
        reply = pb.BatchGetOrdersResponse()
        for one in request.requests:
            result = reply.results.add()
            if one.order_id == UNKNOWN:
                result.error.CopyFrom(status_of(NotFound("ORDER_NOT_FOUND", "no such order")))
            elif one.order_id != LARGE:
                result.order.CopyFrom(pb.Order(order_id=one.order_id, version=number))
        return reply

    async def get(self, request: pb.GetOrderRequest) -> pb.Order:
        """Answers for one."""
        self.alone.append(request.order_id)
        return pb.Order(order_id=request.order_id)


def reading(reader: OrderReader, *order_ids: str) -> list[asyncio.Task[pb.Order]]:
    """Readings under way."""
    return [asyncio.create_task(reader.read("demo", order_id)) for order_id in order_ids]


async def test_readings_of_one_moment_travel_together_and_later_ones_after_them() -> None:
    calls = Calls()
    reader = OrderReader(calls.get_many, calls.get)
    first = reading(reader, *(str(number) for number in range(BATCH_ORDERS_MAX + 1)))
    await asyncio.wait_for(calls.begun.wait(), 10)
    later = reading(reader, "0", "0")
    calls.gate.set()
    found = await asyncio.gather(*first, *later)
    await reader.close()
    assert [len(batch) for batch in calls.batches] == [BATCH_ORDERS_MAX, 1, 2]
    # The same order, asked for after its first reading had begun, is read anew.
    assert (found[0].version, found[-1].version) == (1, 3)


async def test_each_reading_has_its_own_outcome() -> None:
    calls = Calls()
    calls.gate.set()
    reader = OrderReader(calls.get_many, calls.get)
    fine, unknown, large = await asyncio.gather(*reading(reader, "1", UNKNOWN, LARGE), return_exceptions=True)
    await reader.close()
    assert isinstance(fine, pb.Order)
    assert fine.order_id == "1"
    assert isinstance(unknown, NotFound)
    assert unknown.reason == "ORDER_NOT_FOUND"
    assert isinstance(large, pb.Order)
    assert calls.alone == [LARGE]


async def test_a_call_that_fails_fails_for_all_of_its_readings() -> None:
    async def fail(_request: pb.BatchGetOrdersRequest) -> pb.BatchGetOrdersResponse:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "gone")

    reader = OrderReader(fail, Calls().get)
    outcomes = await asyncio.gather(*reading(reader, "1", "2"), return_exceptions=True)
    await reader.close()
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert outcomes[0] is not outcomes[1]
    with pytest.raises(Unavailable):
        await reader.read("demo", "3")
