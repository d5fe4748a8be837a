"""A gateway over real HTTP in front of stand-in services; its read models are fed by hand, without Kafka."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import pytest
from sampan.catalog.v1 import merchant_service_pb2_grpc, product_service_pb2_grpc
from sampan.orders.v1 import order_service_pb2_grpc, payment_service_pb2_grpc
from sampan.warehouse.v1 import (
    parcel_service_pb2_grpc,
    stock_service_pb2_grpc,
    warehouse_service_pb2_grpc,
)

from services.chassis.config import ServiceSettings
from services.chassis.lifecycle import listen
from services.chassis.rpc.server import make_server
from services.gateway.config import GatewaySettings
from services.gateway.server import HttpServer
from services.gateway.wiring import Gateway
from tests.component.gateway.backends import Catalog, Orders, Payments, Warehouse

OPERATOR_KEY = "operator-key-of-demo"
STOREFRONT_KEY = "storefront-key-of-demo"
OTHER_KEY = "operator-key-of-other"
KEYS = [
    {"key": OPERATOR_KEY, "tenant_id": "demo", "role": "operator"},
    {"key": STOREFRONT_KEY, "tenant_id": "demo", "role": "storefront"},
    {"key": OTHER_KEY, "tenant_id": "other", "role": "operator"},
]


@dataclass
class System:
    """A gateway and what stands behind it."""

    gateway: Gateway
    catalog: Catalog
    orders: Orders
    payments: Payments
    warehouse: Warehouse
    operator: httpx.AsyncClient
    storefront: httpx.AsyncClient
    other: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    port: int
    connections: set[Any]
    """The server's, those of the clients above too."""


T = TypeVar("T")
Start = Callable[..., Awaitable[System]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts systems with changed settings; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def begin(**changes: object) -> System:
            return await stack.enter_async_context(_system(**changes))

        yield begin


@pytest.fixture
async def system(start: Start) -> System:
    """A system with default settings."""
    return await start()


def _made(make: Callable[[], T]) -> T:
    """An instance of a servicer that leaves out what no test calls, although the contract's type has it."""
    return make()


@asynccontextmanager
async def _system(**changes: object) -> AsyncIterator[System]:
    catalog, orders, warehouse = _made(Catalog), _made(Orders), _made(Warehouse)
    payments = Payments()
    server = make_server(ServiceSettings(), max_concurrent=256)
    product_service_pb2_grpc.add_ProductServiceServicer_to_server(catalog, server)
    merchant_service_pb2_grpc.add_MerchantServiceServicer_to_server(catalog, server)
    order_service_pb2_grpc.add_OrderServiceServicer_to_server(orders, server)
    payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(payments, server)
    warehouse_service_pb2_grpc.add_WarehouseServiceServicer_to_server(warehouse, server)
    stock_service_pb2_grpc.add_StockServiceServicer_to_server(warehouse, server)
    parcel_service_pb2_grpc.add_ParcelServiceServicer_to_server(warehouse, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    values: dict[str, object] = {
        "port": 0,
        "api_keys": json.dumps(KEYS),
        "access_address": address,
        "webhooks_address": address,
        "catalog_address": address,
        "orders_address": address,
        "warehouse_address": address,
    }
    settings = GatewaySettings(**(values | changes))  # type: ignore[arg-type]
    gateway = Gateway(settings)
    gateway.access.caught_up.set()
    gateway.snapshots.caught_up.set()
    gateway.tail.caught_up.set()
    gateway.feed.source = None
    http = HttpServer(
        gateway.app, settings.client_limits(), drain_grace_s=5, certificates=settings.certificates()
    )
    listener = listen(settings, "port")
    serving = asyncio.create_task(http.run(listener))
    port = listener.getsockname()[1]
    async with AsyncExitStack() as clients:

        async def client(key: str | None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return await clients.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20)
            )

        try:
            yield System(
                gateway,
                catalog,
                orders,
                payments,
                warehouse,
                operator=await client(OPERATOR_KEY),
                storefront=await client(STOREFRONT_KEY),
                other=await client(OTHER_KEY),
                anonymous=await client(None),
                port=port,
                connections=http.connections,
            )
        finally:
            gateway.end_streams()
            await http.stop(5)
            await serving
            await gateway.close()
            await server.stop(0)
