"""The gRPC services of the catalog: protobuf in and out, the errors of the contract; no rules and no SQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, TypeAlias

import grpc
from prometheus_client import Counter, Gauge
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb
from sampan.catalog.v1 import merchant_service_pb2_grpc as merchant_grpc
from sampan.catalog.v1 import product_service_pb2 as pb
from sampan.catalog.v1 import product_service_pb2_grpc as pb_grpc

from services.catalog import wire
from services.catalog.commands import Catalog, ImportOutcome, ProductFilter
from services.catalog.domain import changes, products
from services.catalog.domain.changes import Refusal, Upsert
from services.catalog.domain.products import StoredProduct
from services.catalog.errors import Overloaded, ProductNotFound
from services.chassis import metrics
from services.chassis.errors import DomainError, FieldRequired, TooManyItems
from services.chassis.rpc.status import status_of

SERVICES = (
    pb.DESCRIPTOR.services_by_name["ProductService"].full_name,
    merchant_pb.DESCRIPTOR.services_by_name["MerchantService"].full_name,
)
IMPORT_ROWS_MAX = 1_000
REPLY_BYTES_MAX = 12_000_000
# So many rows are checked before other calls get their turn: about 2 ms.
ROWS_PER_TURN = 50

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_IMPORTED = metrics.Kept(
    Counter("sampan_catalog_import_rows_total", "Rows of imports by outcome.", ["outcome"]), children_max=8
)
_IMPORTS = Gauge("sampan_catalog_import_streams", "Imports at work.")


class _Chunk(NamedTuple):
    """A chunk of an import, checked row by row."""

    tenant_id: str
    upserts: list[Upsert]
    refusals: list[Refusal]


class MerchantService(merchant_grpc.MerchantServiceServicer):
    """See merchant_service.proto."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def CreateMerchant(
        self, request: merchant_pb.CreateMerchantRequest, context: Context
    ) -> merchant_pb.Merchant:
        """Adds a merchant."""
        if not request.HasField("merchant"):
            raise FieldRequired("merchant")
        stored = await self._catalog.create_merchant(request.tenant_id, wire.merchant(request.merchant))
        return wire.merchant_message(stored)

    async def GetMerchant(
        self, request: merchant_pb.GetMerchantRequest, context: Context
    ) -> merchant_pb.Merchant:
        """Reads one merchant."""
        stored = await self._catalog.get_merchant(request.tenant_id, request.merchant_id)
        return wire.merchant_message(stored)

    async def ListMerchants(
        self, request: merchant_pb.ListMerchantsRequest, context: Context
    ) -> merchant_pb.ListMerchantsResponse:
        """Reads a page of merchants."""
        page = await self._catalog.list_merchants(request.tenant_id, request.page_size, request.page_token)
        return merchant_pb.ListMerchantsResponse(
            merchants=map(wire.merchant_message, page.merchants), next_page_token=page.next_page_token
        )


class ProductService(pb_grpc.ProductServiceServicer):
    """See product_service.proto."""

    def __init__(self, catalog: Catalog, *, import_streams_max: int) -> None:
        self._catalog = catalog
        self._import_streams_max = import_streams_max
        self._import_streams = 0

    async def CreateProduct(self, request: pb.CreateProductRequest, context: Context) -> pb.Product:
        """Adds a product."""
        product = products.validated(wire.product_draft(_stated(request)))
        stored = await self._catalog.create_product(request.tenant_id, request.request_id, product)
        return wire.product_message(stored)

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        """Replaces a product's content."""
        product = products.validated(wire.product_draft(_stated(request)))
        stored = await self._catalog.update_product(request.tenant_id, request.product.etag, product)
        return wire.product_message(stored)

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.Product:
        """Reads one product."""
        stored = await self._catalog.get_product(request.tenant_id, request.product_id)
        return wire.product_message(stored)

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        """Reads products by id."""
        found = await self._catalog.get_products(request.tenant_id, request.product_ids)
        response = pb.BatchGetProductsResponse()
        room = REPLY_BYTES_MAX
        for product_id, stored in zip(request.product_ids, found, strict=True):
            result = _result_of(product_id, stored)
            room -= result.ByteSize()
            if room < 0:
                result = pb.ProductResult(
                    error=status_of(Overloaded("the answer would be too large: ask for fewer products"))
                )
            response.results.append(result)
        return response

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        """Reads a page of products."""
        chosen = ProductFilter(request.merchant_id, request.category, request.status)
        page = await self._catalog.list_products(
            request.tenant_id, chosen, request.page_size, request.page_token, query=request.query
        )
        response = pb.ListProductsResponse()
        room = REPLY_BYTES_MAX
        for stored in page.products:
            message = wire.product_message(stored)
            room -= message.ByteSize()
            if room < 0:
                break
            response.products.append(message)
        response.next_page_token = page.token_after(len(response.products))
        return response

    async def ImportProducts(
        self, request_iterator: AsyncIterator[pb.ImportProductsRequest], context: Context
    ) -> AsyncIterator[pb.ImportProductsResponse]:
        """Upserts chunk after chunk. While one is stored, the next is read and checked; no further ahead."""
        if self._import_streams >= self._import_streams_max:
            raise Overloaded(f"{self._import_streams_max} imports are at work already")
        self._import_streams += 1
        _IMPORTS.inc()
        ahead = asyncio.create_task(_next_chunk(request_iterator))
        try:
            while (chunk := await ahead) is not None:
                ahead = asyncio.create_task(_next_chunk(request_iterator))
                outcome = await self._catalog.import_products(chunk.tenant_id, chunk.upserts)
                yield _import_response(chunk, outcome)
        finally:
            self._import_streams -= 1
            _IMPORTS.dec()
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


async def _next_chunk(requests: AsyncIterator[pb.ImportProductsRequest]) -> _Chunk | None:
    """The next chunk, checked; None at the end of the stream."""
    request = await anext(requests, None)
    if request is None:
        return None
    if not request.rows:
        raise FieldRequired("rows")
    if len(request.rows) > IMPORT_ROWS_MAX:
        raise TooManyItems("rows", IMPORT_ROWS_MAX)
    chunk = _Chunk(request.tenant_id, [], [])
    merchant_id = request.merchant_id
    for index, row in enumerate(request.rows):
        if index % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        try:
            draft = wire.product_draft(row.product, default_merchant_id=merchant_id)
            chunk.upserts.append(changes.upsert(row.line, products.validated(draft)))
        except DomainError as error:
            chunk.refusals.append(Refusal(row.line, error))
    return chunk


def _import_response(chunk: _Chunk, outcome: ImportOutcome) -> pb.ImportProductsResponse:
    refusals = sorted(chunk.refusals + outcome.refusals, key=lambda refusal: refusal.line)
    _IMPORTED["created"].inc(outcome.created)
    _IMPORTED["updated"].inc(outcome.updated)
    _IMPORTED["unchanged"].inc(outcome.unchanged)
    _IMPORTED["refused"].inc(len(refusals))
    return pb.ImportProductsResponse(
        created=outcome.created,
        updated=outcome.updated,
        unchanged=outcome.unchanged,
        errors=[
            pb.ImportError(
                line=refusal.line,
                field=refusal.error.field or "",
                reason=refusal.error.reason,
                message=refusal.error.message,
            )
            for refusal in refusals
        ],
    )


def _stated(request: pb.CreateProductRequest | pb.UpdateProductRequest) -> pb.Product:
    if not request.HasField("product"):
        raise FieldRequired("product")
    return request.product


def _result_of(product_id: str, stored: StoredProduct | None) -> pb.ProductResult:
    if stored is None:
        return pb.ProductResult(error=status_of(ProductNotFound(product_id)))
    return pb.ProductResult(product=wire.product_message(stored))
