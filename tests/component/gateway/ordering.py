"""What tests that place orders share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis.envelope import Event
from services.gateway.routes import examples
from tests.component.gateway.conftest import System


def order_event(order: pb.Order) -> Event:
    """The event that orders would publish for the order's present state."""
    head = events_pb2.OrderEventHead(
        tenant_id="demo", order_id=order.order_id, version=order.version, state=order.state
    )
    return Event(
        "sampan.orders.orders.v1",
        0,
        0,
        order.order_id,
        "sampan.orders.v1.OrderProgressed",
        order.order_id,
        order.version,
        head.SerializeToString(),
        None,
        UUID(int=1),
        0,
    )


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}


async def until(condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    """Waits for something that happens elsewhere."""
    for _ in range(int(timeout_s * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def placed_order(system: System) -> pb.Order:
    """An order that exists."""
    answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())
    return system.orders.orders["demo", answer.json()["order_id"]]
