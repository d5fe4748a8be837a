"""Only the warehouse's own and fresh word makes a SKU sold out."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from sampan.warehouse.v1 import events_pb2, stock_service_pb2, warehouse_service_pb2

from services.chassis.envelope import Event
from services.chassis.errors import Unavailable
from services.gateway.readmodel.availability import AvailabilityModel
from services.gateway.readmodel.warehouses import Warehouses
from services.gateway.schemas.orders import LineRequest
from services.gateway.sold_out import SoldOut

TTL_S = 1.0


class World:
    """A read model, a warehouse and a clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.left: dict[tuple[str, str], int] = {}
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.failure: Exception | None = None
        self.answer_s = 0.0
        self._version = 0
        self.warehouses = Warehouses()
        self.model = AvailabilityModel(self.warehouses)
        self.sold_out = SoldOut(self.model, self.ask, ttl_s=TTL_S, now_s=lambda: self.now_s)

    async def ask(
        self, request: stock_service_pb2.BatchGetAvailabilityRequest
    ) -> stock_service_pb2.BatchGetAvailabilityResponse:
        """The warehouse's answer."""
        self.asked.append((request.tenant_id, request.region_code, tuple(request.skus)))
        self.now_s += self.answer_s
        if self.failure is not None:
            raise self.failure
        return stock_service_pb2.BatchGetAvailabilityResponse(
            availabilities=[
                stock_service_pb2.Availability(
                    sku=sku, available=self.left.get((request.region_code, sku), 0)
                )
                for sku in request.skus
            ]
        )

    def serve(self, warehouse_id: str, *countries: str) -> None:
        """A warehouse that the gateway has heard of."""
        warehouse = warehouse_service_pb2.Warehouse(warehouse_id=warehouse_id, version=1)
        for country in countries:
            warehouse.served_countries.add(region_code=country, cost=Money(currency_code="EUR", units=1))
        message = events_pb2.WarehouseSnapshot(tenant_id="demo", warehouse=warehouse)
        self.warehouses.apply([event(f"demo/{warehouse_id}", message)])

    def tell(self, sku: str, **levels: int) -> None:
        """A snapshot of a SKU, as the topic brings it."""
        self._version += 1
        message = events_pb2.AvailabilitySnapshot(tenant_id="demo", sku=sku, version=self._version)
        for warehouse_id, available in levels.items():
            message.levels.add(warehouse_id=warehouse_id, available=available)
        self.model.apply([event(f"demo/{sku}", message)])

    async def line(self, *skus: str, country: str = "ES", tenant_id: str = "demo") -> int:
        """The sold-out line of an order, after the question that an earlier one like it has put was answered."""
        lines = [LineRequest(sku, 1) for sku in skus]
        self.sold_out.line_number(tenant_id, country, lines)
        await self.settle()
        return self.sold_out.line_number(tenant_id, country, lines)

    async def settle(self) -> None:
        """Lets what is being asked be answered."""
        while (asking := self.sold_out._asking) is not None:
            await asyncio.wait({asking})
            await asyncio.sleep(0)


def event(key: str, message: Message) -> Event:
    """A record of a compacted topic."""
    payload = message.SerializeToString()
    return Event("t", 0, 0, key, message.DESCRIPTOR.full_name, key, 1, payload, None, UUID(int=1), 0)


@pytest.fixture
def world() -> World:
    """Madrid serves Spain, Canton serves China."""
    world = World()
    world.serve("madrid", "ES", "PT")
    world.serve("canton", "CN")
    return world


async def test_nothing_is_refused_before_the_warehouse_has_said_so(world: World) -> None:
    world.tell("W", madrid=0)
    lines = [LineRequest("W", 1)]
    assert world.sold_out.line_number("demo", "ES", lines) == 0
    await world.settle()
    assert world.sold_out.line_number("demo", "ES", lines) == 1


async def test_a_read_model_that_is_behind_refuses_nothing(world: World) -> None:
    world.tell("W", madrid=0)
    world.left["ES", "W"] = 3
    assert await world.line("W") == 0


async def test_what_is_left_elsewhere_does_not_count_and_what_is_left_here_does(world: World) -> None:
    world.tell("W", madrid=0, canton=7)
    world.left["CN", "W"] = 7
    assert await world.line("W", country="ES") == 1
    assert await world.line("W", country="CN") == 0
    world.tell("V", madrid=1, canton=0)
    assert await world.line("V", country="PT") == 0
    assert ("demo", "PT", ("V",)) not in world.asked


async def test_a_warehouse_that_is_not_known_yet_may_have_some(world: World) -> None:
    world.tell("W", madrid=0, unheard=4)
    assert await world.line("W") == 0
    assert world.asked == []


async def test_a_sku_without_a_snapshot_or_of_another_tenant_takes_the_ordinary_way(world: World) -> None:
    world.tell("W", madrid=0)
    assert await world.line("NEVER") == 0
    assert await world.line("W", tenant_id="other") == 0
    assert await world.line("W", country="Spain") == 0
    assert world.asked == []


async def test_the_word_ages_and_is_renewed_while_orders_go_on(world: World) -> None:
    world.tell("W", madrid=0)
    lines = [LineRequest("V", 1), LineRequest("W", 1)]
    assert await world.line("V", "W") == 2
    world.now_s += TTL_S * 0.4
    assert world.sold_out.line_number("demo", "ES", lines) == 2
    assert len(world.asked) == 1
    world.now_s += TTL_S * 0.2
    assert await world.line("V", "W") == 2
    assert len(world.asked) == 2
    world.now_s += TTL_S
    assert world.sold_out.line_number("demo", "ES", lines) == 0


async def test_after_a_restock_nothing_is_refused_for_longer_than_the_ttl(world: World) -> None:
    world.tell("W", madrid=0)
    assert await world.line("W") == 1
    # The read model never hears of the restock; the warehouse is asked all the same.
    world.left["ES", "W"] = 5
    world.now_s += TTL_S
    assert world.sold_out.line_number("demo", "ES", [LineRequest("W", 1)]) == 0
    await world.settle()
    assert world.sold_out.line_number("demo", "ES", [LineRequest("W", 1)]) == 0


async def test_the_age_counts_from_the_question_and_not_from_the_answer(world: World) -> None:
    world.tell("W", madrid=0)
    world.answer_s = TTL_S
    assert await world.line("W") == 0


async def test_a_warehouse_that_does_not_answer_refuses_nothing_and_is_left_in_peace(world: World) -> None:
    world.tell("W", madrid=0)
    world.failure = Unavailable("DEPENDENCY_UNAVAILABLE", "down")
    assert await world.line("W") == 0
    assert await world.line("W") == 0
    assert len(world.asked) == 1
    world.failure = None
    world.now_s += TTL_S
    assert await world.line("W") == 1


async def test_many_skus_travel_in_few_questions(world: World) -> None:
    skus = [f"S{number}" for number in range(700)]
    for sku in skus:
        world.tell(sku, madrid=0)
    for sku in skus:
        world.sold_out.line_number("demo", "ES", [LineRequest(sku, 1)])
    await world.settle()
    assert [len(asked[2]) for asked in world.asked] == [500, 200]
    assert await world.line(*skus[-1:]) == 1


async def test_switched_off_it_asks_nothing(world: World) -> None:
    off = SoldOut(world.model, world.ask, ttl_s=0, now_s=lambda: world.now_s)
    world.tell("W", madrid=0)
    assert off.line_number("demo", "ES", [LineRequest("W", 1)]) == 0
    assert off._asking is None
