"""The warehouse's gRPC services and stubs of them, over a real server and a real database."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.warehouse.v1 import parcel_service_pb2_grpc as parcel_grpc
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb
from sampan.warehouse.v1 import reservation_service_pb2_grpc as hold_grpc
from sampan.warehouse.v1 import stock_service_pb2_grpc as stock_grpc
from sampan.warehouse.v1 import warehouse_service_pb2_grpc as pb_grpc

from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of
from services.warehouse.commands.availability import Availability
from services.warehouse.config import WarehouseSettings
from services.warehouse.domain.holds import Command, Fulfilment
from services.warehouse.rpc import holds, parcels, stock, warehouses
from tests.integration.warehouse.scene import MERCHANT, TENANT, Scene, in_future


class Client(NamedTuple):
    """Stubs of all services, and the scene behind them."""

    warehouses: Any
    stock: Any
    holds: Any
    parcels: Any
    scene: Scene


@contextlib.asynccontextmanager
async def open_client(scene: Scene) -> AsyncIterator[Client]:
    """The services on a free port."""
    server = make_server(WarehouseSettings(dsn=scene.database.dsn), max_concurrent=100)
    batcher: MicroBatcher[Command, Fulfilment] = MicroBatcher(
        "test.holds",
        scene.holds.decide_batch,
        items_max=256,
        size_max=holds.BATCH_BYTES_MAX,
        delay_ms_max=1,
        queue_items_max=1_000,
        size_of=holds.size_of,
        in_flight_max=2,
    )
    pb_grpc.add_WarehouseServiceServicer_to_server(warehouses.WarehouseService(scene.warehouses), server)
    stock_grpc.add_StockServiceServicer_to_server(
        stock.StockService(scene.stock, Availability(scene.database)), server
    )
    hold_grpc.add_ReservationServiceServicer_to_server(holds.ReservationService(scene.holds, batcher), server)
    parcel_grpc.add_ParcelServiceServicer_to_server(parcels.ParcelService(scene.parcels), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            yield Client(
                pb_grpc.WarehouseServiceStub(channel),
                stock_grpc.StockServiceStub(channel),
                hold_grpc.ReservationServiceStub(channel),
                parcel_grpc.ParcelServiceStub(channel),
                scene,
            )
    finally:
        await server.stop(1)
        await batcher.close()


@contextlib.contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[None]:
    """The call inside fails with that reason of the contract, about that field."""
    with pytest.raises((grpc.aio.AioRpcError, DomainError)) as failure:
        yield
    raised = failure.value
    assert isinstance(raised, DomainError | grpc.aio.AioRpcError)
    error = raised if isinstance(raised, DomainError) else error_of(raised)
    assert (error.reason, error.domain) == (reason, "sampan.warehouse")
    assert field is None or error.field == field


def timestamp(minutes: float) -> Timestamp:
    """So many minutes from now."""
    made = Timestamp()
    made.FromDatetime(in_future(minutes))
    return made


def reserve_request(order: str, units: dict[str, int], **changed: Any) -> hold_pb.ReserveRequest:
    """A request for goods to Spain, changed."""
    content: dict[str, Any] = {
        "tenant_id": TENANT,
        "merchant_id": MERCHANT,
        "order_id": order,
        "region_code": "ES",
        "lines": [hold_pb.ReserveLine(sku=sku, quantity=quantity) for sku, quantity in units.items()],
        "expire_time": timestamp(60),
    }
    return hold_pb.ReserveRequest(**(content | changed))
