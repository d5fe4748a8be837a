"""Orders for what is sold out, over HTTP: refused on the warehouse's word, and never against a stored answer."""

from __future__ import annotations

from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key, until
from tests.component.gateway.snapshots import stock_event, warehouse_event
from tests.component.gateway.test_edge import assert_problem

SKU = "WIG-18"
ORDER = examples.ORDER | {"lines": [{"sku": SKU, "quantity": 1}]}


async def sell_out(system: System) -> None:
    """The SKU is empty, and the gateway has asked the warehouse about it."""
    system.gateway.apply_snapshots([warehouse_event("madrid", "ES"), stock_event(SKU, 1, madrid=0)])
    placed = await system.storefront.post("/v1/orders", json=ORDER, headers=key())
    assert placed.status_code == 201
    await until(lambda: bool(system.gateway.sold_out._empty_since_s))


async def asked(system: System) -> None:
    """Whatever there is to ask the warehouse is asked by now."""
    await until(lambda: system.gateway.sold_out._asking is None)


async def test_an_empty_sku_is_409_and_a_repeated_key_gets_its_order(start: Start) -> None:
    system = await start(sold_out_ttl_s=60)
    headers = key()
    first = await system.storefront.post("/v1/orders", json=ORDER, headers=headers)
    await sell_out(system)
    problem = assert_problem(
        await system.storefront.post("/v1/orders", json=ORDER, headers=key()), 409, "SOLD_OUT"
    )
    assert problem["metadata"] == {"sku": SKU}
    again = await system.storefront.post("/v1/orders", json=ORDER, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert system.orders.requests[-1].requests[0].sold_out_line == 1


async def test_without_the_warehouse_every_order_takes_the_ordinary_way(start: Start) -> None:
    system = await start(warehouse_address="127.0.0.1:1", sold_out_ttl_s=60)
    system.gateway.apply_snapshots([warehouse_event("madrid", "ES"), stock_event(SKU, 1, madrid=0)])
    for _ in range(3):
        answer = await system.storefront.post("/v1/orders", json=ORDER, headers=key())
        assert answer.status_code == 201
        await asked(system)


async def test_it_can_be_switched_off(start: Start) -> None:
    system = await start(sold_out_ttl_s=0)
    system.gateway.apply_snapshots([warehouse_event("madrid", "ES"), stock_event(SKU, 1, madrid=0)])
    for _ in range(3):
        answer = await system.storefront.post("/v1/orders", json=ORDER, headers=key())
        assert answer.status_code == 201
        await asked(system)
    assert not system.warehouse.requests
