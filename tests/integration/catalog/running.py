"""A catalog server on a free port over a real database, and the calls that a client makes to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import grpc
import pytest
from google.type.money_pb2 import Money
from sampan.catalog.v1 import events_pb2
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb
from sampan.catalog.v1 import merchant_service_pb2_grpc as merchant_grpc
from sampan.catalog.v1 import product_service_pb2 as pb
from sampan.catalog.v1 import product_service_pb2_grpc as pb_grpc

from services.catalog import events, rpc
from services.catalog.commands import Catalog
from services.catalog.config import CatalogSettings
from services.chassis.errors import DomainError
from services.chassis.pg import Database
from services.chassis.rpc.channel import make_channel
from services.chassis.rpc.server import make_server
from services.chassis.rpc.status import error_of

T = TypeVar("T")

TENANT = "fair"
MERCHANT = "xuchang-hair"


class Client(NamedTuple):
    """Stubs, and the database below the server for a look behind it."""

    products: Any
    merchants: Any
    catalog: Catalog
    database: Database

    async def outbox(self) -> list[pb.Product]:
        """The snapshots that wait to be sent, oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT key, version, type, payload FROM outbox ORDER BY id")
        snapshots = [events_pb2.ProductSnapshot.FromString(row["payload"]) for row in rows]
        for row, snapshot in zip(rows, snapshots, strict=True):
            assert row["type"] == "sampan.catalog.v1.ProductSnapshot"
            assert row["key"] == f"{snapshot.tenant_id}/{snapshot.product.product_id}"
            assert row["version"] == snapshot.product.version
        return [snapshot.product for snapshot in snapshots]

    async def create(
        self, product: pb.Product, *, request_id: str = "", tenant_id: str = TENANT
    ) -> pb.Product:
        """Creates a product."""
        request = pb.CreateProductRequest(
            tenant_id=tenant_id, request_id=request_id or f"create {product.product_id}", product=product
        )
        created: pb.Product = await self.products.CreateProduct(request)
        return created

    async def update(self, product: pb.Product, *, etag: str, tenant_id: str = TENANT) -> pb.Product:
        """Replaces a product's content."""
        wanted = pb.Product()
        wanted.CopyFrom(product)
        wanted.etag = etag
        updated: pb.Product = await self.products.UpdateProduct(
            pb.UpdateProductRequest(tenant_id=tenant_id, product=wanted)
        )
        return updated

    async def get(self, product_id: str, *, tenant_id: str = TENANT) -> pb.Product:
        """Reads a product."""
        found: pb.Product = await self.products.GetProduct(
            pb.GetProductRequest(tenant_id=tenant_id, product_id=product_id)
        )
        return found

    async def load(self, *chunks: Iterable[pb.Product], tenant_id: str = TENANT) -> list[Any]:
        """Imports chunks of products by one stream; lines count from 1 within each chunk."""
        requests = [chunk_of(products, tenant_id=tenant_id) for products in chunks]
        return [answer async for answer in self.products.ImportProducts(iter(requests))]


@contextlib.asynccontextmanager
async def running(dsn: str, *, import_streams_max: int = 4, tenant_id: str = TENANT) -> AsyncIterator[Client]:
    """A server without a relay, with one merchant in one tenant."""
    database = await Database.open(dsn, name="test-catalog", acquire_s_max=5)
    catalog = Catalog(database, snapshots=events.product_snapshots, after_commit=lambda: None)
    server = make_server(CatalogSettings(dsn=dsn), max_concurrent=100)
    pb_grpc.add_ProductServiceServicer_to_server(
        rpc.ProductService(catalog, import_streams_max=import_streams_max), server
    )
    merchant_grpc.add_MerchantServiceServicer_to_server(rpc.MerchantService(catalog), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            client = Client(
                pb_grpc.ProductServiceStub(channel),
                merchant_grpc.MerchantServiceStub(channel),
                catalog,
                database,
            )
            await client.merchants.CreateMerchant(merchant_request(tenant_id=tenant_id))
            yield client
    finally:
        await server.stop(1)
        await database.close()


def merchant_request(
    merchant_id: str = MERCHANT,
    *,
    display_name: str = "许昌 Hair",
    region_code: str = "CN",
    tenant_id: str = TENANT,
) -> merchant_pb.CreateMerchantRequest:
    """A request that adds a merchant."""
    merchant = merchant_pb.Merchant(
        merchant_id=merchant_id, display_name=display_name, region_code=region_code
    )
    return merchant_pb.CreateMerchantRequest(tenant_id=tenant_id, merchant=merchant)


def variant_of(sku: str, **changed: Any) -> pb.Variant:
    """A variant with everything in it."""
    content: dict[str, Any] = {
        "gtin": "4006381333931",
        "options": {"length": "18 inch", "colour": "natural black"},
        "prices": [
            Money(currency_code="EUR", units=119, nanos=500_000_000),
            Money(currency_code="JPY", units=19_800),
        ],
        "weight_grams": 320,
        "dimensions": pb.Dimensions(length_mm=300, width_mm=200, height_mm=80),
        "hazards": [pb.HAZARD_LITHIUM_BATTERY, pb.HAZARD_MAGNET],
    }
    return pb.Variant(sku=sku, **(content | changed))


def product_of(product_id: str, skus: Sequence[str] = (), **changed: Any) -> pb.Product:
    """A product with everything in it; by default with one variant of its own."""
    content: dict[str, Any] = {
        "merchant_id": MERCHANT,
        "titles": {"en": f"Bob wig {product_id}", "zh-CN": "波波头假发 💇"},
        "descriptions": {"en": "Lace front.\nHuman hair."},
        "category": "hair/wigs",
        "hs_code": "670420",
        "origin_region_code": "CN",
        "status": pb.PRODUCT_STATUS_ACTIVE,
        "variants": [variant_of(sku) for sku in skus or [f"{product_id}-1"]],
    }
    return pb.Product(product_id=product_id, **(content | changed))


def chunk_of(
    products: Iterable[pb.Product], *, tenant_id: str = TENANT, merchant_id: str = ""
) -> pb.ImportProductsRequest:
    """A chunk of an import; lines count from 1."""
    rows = [pb.ImportRow(line=line, product=product) for line, product in enumerate(products, start=1)]
    return pb.ImportProductsRequest(tenant_id=tenant_id, merchant_id=merchant_id, rows=rows)


async def eventually(call: Callable[[], Awaitable[T]], *, reason: str) -> T:
    """The answer to a call that may for a short time still be refused for this reason."""
    for _ in range(100):
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error_of(error).reason != reason:
                raise
        await asyncio.sleep(0.05)
    return await call()


@contextlib.contextmanager
def refused(code: str, reason: str, field: str | None = None) -> Iterator[list[DomainError]]:
    """Expects a failed call with this status, reason and field; yields a list that will hold the error."""
    seen: list[DomainError] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield seen
    error = error_of(caught.value)
    seen.append(error)
    assert (error.code, error.reason, error.domain) == (code, reason, "sampan.catalog")
    if field is not None:
        assert error.field == field
