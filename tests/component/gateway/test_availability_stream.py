"""Following the availability of SKUs: how it stands, then what has changed, the newest only."""

from __future__ import annotations

from services.chassis.envelope import Event
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.following import following
from tests.component.gateway.ordering import until
from tests.component.gateway.snapshots import stock_event, warehouse_event
from tests.component.gateway.test_edge import assert_problem

PATH = "/v1/availability/events"


def tell(system: System, *events: Event) -> None:
    """Snapshots arrive."""
    system.gateway.apply_snapshots(events)


async def test_a_stream_tells_how_each_sku_stands_and_then_its_changes(system: System) -> None:
    tell(system, warehouse_event("madrid", "ES"), stock_event("A", 1, madrid=5), stock_event("B", 1))
    async with following(system.storefront, PATH, skus="B,A,B,none") as stream:
        told = [await stream.event() for _ in range(3)]
        assert {name for name, _ in told} == {"availability"}
        assert [(data["sku"], data["available"]) for _, data in told] == [("B", 0), ("A", 5), ("none", 0)]
        # One that is not followed, an older one and one that changes nothing are passed over.
        tell(
            system,
            stock_event("C", 1, madrid=1),
            stock_event("A", 2, madrid=5),
            stock_event("B", 0, madrid=9),
        )
        tell(system, stock_event("A", 3, madrid=4))
        assert (await stream.event())[1] == {
            "sku": "A",
            "available": 4,
            "warehouses": [{"warehouse_id": "madrid", "available": 4}],
        }
    await until(lambda: not system.gateway.availability_feed._by_key)
    assert not system.gateway.availability_feed._by_tenant


async def test_many_changes_at_once_are_told_as_the_last_of_them(system: System) -> None:
    async with following(system.storefront, PATH, skus="A,B") as stream:
        assert [(await stream.event())[1]["available"] for _ in "AB"] == [0, 0]
        tell(system, *[stock_event("A", version, madrid=version) for version in range(1, 500)])
        tell(system, stock_event("B", 1, madrid=7))
        told = [(await stream.event())[1] for _ in "AB"]
        assert [(data["sku"], data["available"]) for data in told] == [("A", 499), ("B", 7)]


async def test_what_a_warehouse_serves_concerns_its_skus(system: System) -> None:
    tell(system, warehouse_event("madrid", "PT"), stock_event("A", 1, madrid=5))
    async with following(system.storefront, PATH, skus="A", region_code="ES") as stream:
        assert (await stream.event())[1]["available"] == 0
        tell(system, warehouse_event("madrid", "PT", "ES", version=2))
        assert (await stream.event())[1]["available"] == 5
        tell(system, warehouse_event("madrid", "PT", "ES", version=3, disabled=True))
        assert (await stream.event())[1]["available"] == 0


async def test_another_tenants_stock_is_not_told(start: Start) -> None:
    system = await start(stream_heartbeat_s=0.05)
    async with following(system.other, PATH, skus="A") as stream:
        assert (await stream.event())[1]["available"] == 0
        tell(system, stock_event("A", 1, madrid=5))
        assert [await stream.block() for _ in range(3)] == [{"": "still here"}] * 3


async def test_a_stream_is_refused_before_availability_is_known_and_where_nothing_is_asked(
    system: System,
) -> None:
    assert_problem(await system.storefront.get(PATH), 400, "FIELD_REQUIRED")
    many = ",".join(f"S-{number}" for number in range(201))
    assert_problem(await system.storefront.get(PATH, params={"skus": many}), 400, "TOO_MANY_ITEMS")
    system.gateway.snapshots.caught_up.clear()
    assert_problem(await system.storefront.get(PATH, params={"skus": "A"}), 503, "STARTING")


async def test_streams_end_when_the_gateway_goes(system: System) -> None:
    async with following(system.storefront, PATH, skus="A") as stream:
        await stream.event()
        system.gateway.end_streams()
        assert await stream.rest() == []
