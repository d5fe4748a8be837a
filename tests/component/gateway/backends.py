"""Small stand-ins for the three services: real grpc.aio servers with the contracts, but with dictionaries behind.

They are for what only needs an answer of a certain kind at a certain time (a held call, a failing item, a dead
service). Whether the services really answer so is shown by the end-to-end tests, with the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb
from sampan.catalog.v1 import merchant_service_pb2_grpc, product_service_pb2_grpc
from sampan.catalog.v1 import product_service_pb2 as product_pb
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.orders.v1 import order_service_pb2_grpc, payment_service_pb2, payment_service_pb2_grpc
from sampan.warehouse.v1 import (
    parcel_service_pb2,
    parcel_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
    warehouse_service_pb2,
    warehouse_service_pb2_grpc,
)

from services.chassis.errors import DomainError, FailedPrecondition, NotFound
from services.chassis.rpc.status import status_of

NOW = Timestamp(seconds=1_790_000_000, nanos=123_456_000)


class Backend:
    """What all stand-ins have: `failure` makes every call fail, `requests` remembers what came."""

    def __init__(self) -> None:
        self.failure: DomainError | None = None
        self.delay_s = 0.0
        self.requests: list[Any] = []

    async def note(self, request: Any) -> None:
        """Remembers, waits and fails as told."""
        self.requests.append(request)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure


class Catalog(
    Backend,
    product_service_pb2_grpc.ProductServiceServicer,
    merchant_service_pb2_grpc.MerchantServiceServicer,
):
    """Products by (tenant, id)."""

    def __init__(self) -> None:
        super().__init__()
        self.products: dict[tuple[str, str], product_pb.Product] = {}
        self.chunks: list[product_pb.ImportProductsRequest] = []
        self.gate: asyncio.Event | None = None
        self.import_delay_s = 0.0

    def add(
        self, tenant_id: str, product_id: str, *, version: int = 1, title: str = "A thing"
    ) -> product_pb.Product:
        """Puts a product there."""
        product = product_pb.Product(
            product_id=product_id,
            merchant_id="north-lights",
            titles={"en": title},
            status=product_pb.PRODUCT_STATUS_ACTIVE,
            variants=[
                product_pb.Variant(
                    sku=product_id.upper(), prices=[Money(currency_code="EUR", units=12, nanos=500_000_000)]
                )
            ],
            version=version,
            etag=str(version),
            create_time=NOW,
            update_time=NOW,
        )
        self.products[tenant_id, product_id] = product
        return product

    async def CreateMerchant(
        self, request: merchant_pb.CreateMerchantRequest, context: Any
    ) -> merchant_pb.Merchant:
        await self.note(request)
        return request.merchant

    async def CreateProduct(
        self, request: product_pb.CreateProductRequest, context: Any
    ) -> product_pb.Product:
        await self.note(request)
        product = product_pb.Product()
        product.CopyFrom(request.product)
        product.version, product.etag = 1, "1"
        self.products[request.tenant_id, product.product_id] = product
        return product

    async def UpdateProduct(
        self, request: product_pb.UpdateProductRequest, context: Any
    ) -> product_pb.Product:
        await self.note(request)
        product = product_pb.Product()
        product.CopyFrom(request.product)
        held = self.products[request.tenant_id, product.product_id]
        product.version, product.etag = held.version + 1, str(held.version + 1)
        self.products[request.tenant_id, product.product_id] = product
        return product

    async def BatchGetProducts(
        self, request: product_pb.BatchGetProductsRequest, context: Any
    ) -> product_pb.BatchGetProductsResponse:
        await self.note(request)
        reply = product_pb.BatchGetProductsResponse()
        for product_id in request.product_ids:
            found = self.products.get((request.tenant_id, product_id))
            if found is None:
                reply.results.add(error=status_of(NotFound("PRODUCT_NOT_FOUND", "no such product")))
            else:
                reply.results.add(product=found)
        if self.gate is not None:
            await self.gate.wait()
        return reply

    async def ListProducts(
        self, request: product_pb.ListProductsRequest, context: Any
    ) -> product_pb.ListProductsResponse:
        await self.note(request)
        mine = [
            product for (tenant_id, _), product in self.products.items() if tenant_id == request.tenant_id
        ]
        return product_pb.ListProductsResponse(products=mine, next_page_token="more")

    async def ImportProducts(
        self, requests: AsyncIterator[product_pb.ImportProductsRequest], context: Any
    ) -> AsyncIterator[product_pb.ImportProductsResponse]:
        async for chunk in requests:
            await self.note(chunk)
            self.chunks.append(chunk)
            await asyncio.sleep(self.import_delay_s)
            reply = product_pb.ImportProductsResponse()
            for row in chunk.rows:
                if row.product.product_id.startswith("bad"):
                    reply.errors.add(
                        line=row.line,
                        field="variants[0].gtin",
                        reason="GTIN_INVALID",
                        message="wrong check digit",
                    )
                else:
                    reply.created += 1
            yield reply


class Payments(Backend, payment_service_pb2_grpc.PaymentServiceServicer):
    """Takes every notification; `gate` holds the answers back."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = None

    async def NotifyPayment(
        self, request: payment_service_pb2.NotifyPaymentRequest, context: Any
    ) -> payment_service_pb2.NotifyPaymentResponse:
        await self.note(request)
        if self.gate is not None:
            await self.gate.wait()
        return payment_service_pb2.NotifyPaymentResponse()


class Orders(Backend, order_service_pb2_grpc.OrderServiceServicer):
    """Orders by (tenant, id); placed ones stay PENDING until `move`."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[tuple[str, str], order_pb.Order] = {}
        self.placed: dict[tuple[str, str], bytes] = {}
        self.batch_sizes: list[int] = []
        self.gate: asyncio.Event | None = None

    async def BatchPlaceOrders(
        self, request: order_pb.BatchPlaceOrdersRequest, context: Any
    ) -> order_pb.BatchPlaceOrdersResponse:
        self.batch_sizes.append(len(request.requests))
        await self.note(request)
        if self.gate is not None:
            await self.gate.wait()
        reply = order_pb.BatchPlaceOrdersResponse()
        for one in request.requests:
            self._place(one, reply.results.add())
        return reply

    def _place(self, asked: order_pb.PlaceOrderRequest, result: order_pb.PlaceOrderResult) -> None:
        unknown = [index for index, line in enumerate(asked.lines) if line.sku == "UNKNOWN"]
        if unknown:
            refusal = FailedPrecondition(
                "SKU_UNKNOWN", "no such SKU", metadata={"sku": "UNKNOWN"}, field=f"lines[{unknown[0]}].sku"
            )
            result.error.CopyFrom(status_of(refusal))
            return
        key = (asked.tenant_id, asked.request_id)
        if asked.sold_out_line and key not in self.placed:
            sku = asked.lines[asked.sold_out_line - 1].sku
            refusal = FailedPrecondition("SOLD_OUT", "nothing is left", metadata={"sku": sku})
            result.error.CopyFrom(status_of(refusal))
            return
        if key in self.placed:
            result.order.ParseFromString(self.placed[key])
            result.replayed = True
            return
        total = sum(line.quantity for line in asked.lines)
        order = order_pb.Order(
            order_id=str(uuid4()),
            merchant_id="north-lights",
            buyer_ref=asked.buyer_ref,
            state=order_pb.ORDER_STATE_PENDING,
            version=1,
            etag="1",
            currency_code=asked.currency_code,
            total=Money(currency_code=asked.currency_code, units=total),
            ship_to=asked.ship_to,
            payment_terms=asked.payment_terms,
            create_time=NOW,
            update_time=NOW,
        )
        self.orders[asked.tenant_id, order.order_id] = order
        self.placed[key] = order.SerializeToString()
        result.order.CopyFrom(order)

    def move(self, order_id: str, state: order_pb.OrderState.ValueType) -> order_pb.Order:
        """Moves an order on."""
        order = next(order for (_, found), order in self.orders.items() if found == order_id)
        order.state = state
        order.version += 1
        order.etag = str(order.version)
        return order

    async def GetOrder(self, request: order_pb.GetOrderRequest, context: Any) -> order_pb.Order:
        await self.note(request)
        order = self.orders.get((request.tenant_id, request.order_id))
        if order is None:
            raise NotFound("ORDER_NOT_FOUND", "no such order")
        return order

    async def BatchGetOrders(
        self, request: order_pb.BatchGetOrdersRequest, context: Any
    ) -> order_pb.BatchGetOrdersResponse:
        await self.note(request)
        reply = order_pb.BatchGetOrdersResponse()
        for asked in request.requests:
            order = self.orders.get((asked.tenant_id, asked.order_id))
            result = reply.results.add()
            if order is None:
                result.error.CopyFrom(status_of(NotFound("ORDER_NOT_FOUND", "no such order")))
            else:
                result.order.CopyFrom(order)
        return reply

    async def ListOrders(
        self, request: order_pb.ListOrdersRequest, context: Any
    ) -> order_pb.ListOrdersResponse:
        await self.note(request)
        return order_pb.ListOrdersResponse(orders=list(self.orders.values()))

    async def PayOrder(self, request: order_pb.PayOrderRequest, context: Any) -> order_pb.Order:
        await self.note(request)
        raise FailedPrecondition(
            "PAYMENT_DECLINED", "declined", metadata={"decline_code": "insufficient_funds"}
        )

    async def CancelOrder(self, request: order_pb.CancelOrderRequest, context: Any) -> order_pb.Order:
        await self.note(request)
        order = self.orders.get((request.tenant_id, request.order_id))
        if order is None:
            raise NotFound("ORDER_NOT_FOUND", "no such order")
        return self.move(request.order_id, order_pb.ORDER_STATE_CANCELLED)


class Warehouse(
    Backend,
    warehouse_service_pb2_grpc.WarehouseServiceServicer,
    stock_service_pb2_grpc.StockServiceServicer,
    parcel_service_pb2_grpc.ParcelServiceServicer,
):
    """Answers with what was asked; of `available` it has as many units as stand there, of the rest none."""

    def __init__(self) -> None:
        super().__init__()
        self.available: dict[str, int] = {}

    async def BatchGetAvailability(
        self, request: stock_service_pb2.BatchGetAvailabilityRequest, context: Any
    ) -> stock_service_pb2.BatchGetAvailabilityResponse:
        await self.note(request)
        return stock_service_pb2.BatchGetAvailabilityResponse(
            availabilities=[
                stock_service_pb2.Availability(sku=sku, available=self.available.get(sku, 0))
                for sku in request.skus
            ]
        )

    async def CreateWarehouse(
        self, request: warehouse_service_pb2.CreateWarehouseRequest, context: Any
    ) -> warehouse_service_pb2.Warehouse:
        await self.note(request)
        request.warehouse.version, request.warehouse.etag = 1, "1"
        return request.warehouse

    async def GetWarehouse(
        self, request: warehouse_service_pb2.GetWarehouseRequest, context: Any
    ) -> warehouse_service_pb2.Warehouse:
        await self.note(request)
        return warehouse_service_pb2.Warehouse(
            warehouse_id=request.warehouse_id,
            kind=warehouse_service_pb2.WAREHOUSE_KIND_OVERSEAS,
            version=7,
            etag="7",
        )

    async def UpdateWarehouse(
        self, request: warehouse_service_pb2.UpdateWarehouseRequest, context: Any
    ) -> warehouse_service_pb2.Warehouse:
        await self.note(request)
        return request.warehouse

    async def ReceiveStock(
        self, request: stock_service_pb2.ReceiveStockRequest, context: Any
    ) -> stock_service_pb2.StockMovement:
        await self.note(request)
        if request.warehouse_id == "nowhere":
            raise NotFound("WAREHOUSE_NOT_FOUND", "no such warehouse", field="warehouse_id")
        rows = [
            stock_service_pb2.Stock(
                sku=line.sku,
                warehouse_id=request.warehouse_id,
                on_hand=line.quantity,
                available=line.quantity,
            )
            for line in request.lines
        ]
        return stock_service_pb2.StockMovement(stock=rows)

    async def BatchAdvanceParcels(
        self, request: parcel_service_pb2.BatchAdvanceParcelsRequest, context: Any
    ) -> parcel_service_pb2.BatchAdvanceParcelsResponse:
        await self.note(request)
        reply = parcel_service_pb2.BatchAdvanceParcelsResponse()
        for one in request.requests:
            if one.carrier == "nobody":
                refusal = FailedPrecondition(
                    "PARCEL_STATE_WRONG", "not packed", metadata={"state": "ALLOCATED"}
                )
                reply.results.add(error=status_of(refusal))
            else:
                reply.results.add(
                    parcel=parcel_service_pb2.Parcel(
                        parcel_id=one.parcel_id, state=one.state, carrier=one.carrier
                    )
                )
        return reply
