"""The services behind: one channel each, and calls that carry a deadline and raise domain errors."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import grpc
from sampan.access.v1 import api_key_service_pb2_grpc, rate_limit_service_pb2_grpc, tenant_service_pb2_grpc
from sampan.catalog.v1 import merchant_service_pb2_grpc, product_service_pb2_grpc
from sampan.operations.v1.parked_event_service_pb2_grpc import ParkedEventServiceStub
from sampan.orders.v1 import order_service_pb2_grpc, payment_service_pb2_grpc
from sampan.warehouse.v1 import parcel_service_pb2_grpc, stock_service_pb2_grpc, warehouse_service_pb2_grpc
from sampan.webhooks.v1 import delivery_service_pb2_grpc, endpoint_service_pb2_grpc

from services.chassis.rpc.channel import Certificates, make_channel
from services.chassis.rpc.status import error_of

Response = TypeVar("Response")

# Reads, and calls that a request id, an etag or their own content makes safe to repeat.
_ACCESS_RETRYABLE = ("sampan.access.v1.TenantService", "sampan.access.v1.ApiKeyService")
_CATALOG_RETRYABLE = (
    "sampan.catalog.v1.MerchantService",
    *(
        f"sampan.catalog.v1.ProductService/{method}"
        for method in ("CreateProduct", "GetProduct", "BatchGetProducts", "ListProducts")
    ),
)
# A second replay or discard would do no harm, but tell that nothing was there.
_PARKED_RETRYABLE = tuple(
    f"sampan.operations.v1.ParkedEventService/{method}" for method in ("ListParkedGroups", "ListParkedEvents")
)
_ORDERS_RETRYABLE = (
    "sampan.orders.v1.OrderService",
    "sampan.orders.v1.PaymentService",
    *_PARKED_RETRYABLE,
)
_WAREHOUSE_RETRYABLE = (
    "sampan.warehouse.v1.StockService",
    "sampan.warehouse.v1.ParcelService",
    *(
        f"sampan.warehouse.v1.WarehouseService/{method}"
        for method in ("CreateWarehouse", "GetWarehouse", "ListWarehouses")
    ),
    *_PARKED_RETRYABLE,
)
_WEBHOOKS_RETRYABLE = (
    # A second deletion would find nothing.
    *(
        f"sampan.webhooks.v1.EndpointService/{method}"
        for method in (
            *("CreateEndpoint", "GetEndpoint", "ListEndpoints", "UpdateEndpoint"),
            *("RotateSecret", "EnableEndpoint", "DisableEndpoint"),
        )
    ),
    *(
        f"sampan.webhooks.v1.DeliveryService/{method}"
        for method in ("GetDelivery", "ListDeliveries", "Redeliver")
    ),
    *_PARKED_RETRYABLE,
)


class Clients:
    """The stubs. Every unary call of them goes through `call`."""

    def __init__(
        self,
        *,
        access: str,
        catalog: str,
        orders: str,
        warehouse: str,
        webhooks: str,
        deadline_s: float,
        certificates: Certificates | None = None,
    ) -> None:
        self.deadline_s = deadline_s
        connect = partial(make_channel, certificates=certificates)
        access_channel = connect(access, retryable_methods=_ACCESS_RETRYABLE)
        catalog_channel = connect(catalog, retryable_methods=_CATALOG_RETRYABLE)
        orders_channel = connect(orders, retryable_methods=_ORDERS_RETRYABLE)
        warehouse_channel = connect(warehouse, retryable_methods=_WAREHOUSE_RETRYABLE)
        webhooks_channel = connect(webhooks, retryable_methods=_WEBHOOKS_RETRYABLE)
        self._channels = (
            access_channel,
            catalog_channel,
            orders_channel,
            warehouse_channel,
            webhooks_channel,
        )
        self.tenants = tenant_service_pb2_grpc.TenantServiceStub(access_channel)
        self.api_keys = api_key_service_pb2_grpc.ApiKeyServiceStub(access_channel)
        self.rate_limits = rate_limit_service_pb2_grpc.RateLimitServiceStub(access_channel)
        self.merchants = merchant_service_pb2_grpc.MerchantServiceStub(catalog_channel)
        self.products = product_service_pb2_grpc.ProductServiceStub(catalog_channel)
        self.orders = order_service_pb2_grpc.OrderServiceStub(orders_channel)
        self.payments = payment_service_pb2_grpc.PaymentServiceStub(orders_channel)
        self.warehouses = warehouse_service_pb2_grpc.WarehouseServiceStub(warehouse_channel)
        self.stock = stock_service_pb2_grpc.StockServiceStub(warehouse_channel)
        self.parcels = parcel_service_pb2_grpc.ParcelServiceStub(warehouse_channel)
        self.webhook_endpoints = endpoint_service_pb2_grpc.EndpointServiceStub(webhooks_channel)
        self.webhook_deliveries = delivery_service_pb2_grpc.DeliveryServiceStub(webhooks_channel)
        self.parked_events = {
            "orders": ParkedEventServiceStub(orders_channel),
            "warehouse": ParkedEventServiceStub(warehouse_channel),
            "webhooks": ParkedEventServiceStub(webhooks_channel),
        }
        """Those of the services that read events, by the names that their consumer groups begin with."""

    async def call(
        self, method: Callable[..., Awaitable[Response]], request: Any, *, deadline_s: float | None = None
    ) -> Response:
        """One unary call; a failure is raised as the domain error that it carries."""
        try:
            return await method(request, timeout=deadline_s or self.deadline_s)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels:
            await channel.close()
