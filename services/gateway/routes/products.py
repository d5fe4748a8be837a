"""Products: detail from the read model, lists and writes through the catalog."""

from collections.abc import Iterable, Sequence

import msgspec
from sampan.catalog.v1 import product_service_pb2 as pb

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import at_parameter, at_pointer
from services.gateway.languages import VARY
from services.gateway.readmodel.lists import Page, ProductPages
from services.gateway.readmodel.products import Entry, Products, entry_of, version_of
from services.gateway.roles import ANY_SCOPE, MERCHANTS, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, encode, is_not_modified, not_modified, picked
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import narrowed, product_missing, require_merchant
from services.gateway.schemas.catalog import Product, ProductBatch, ProductIds, ProductPage
from services.gateway.translate.catalog import STATUS, product_proto

IDS_MAX = 200
_IDS = "ids"
_FILTERS = ("q", "merchant_id", "category", "status", "page_size", "page_token")


class _Owned(msgspec.Struct):
    """What is read of a product's document to know whose it is."""

    merchant_id: str


_owned_decoder = msgspec.json.Decoder(_Owned)


class ProductRoutes(Resource):
    """Create, update, get, batch get, list."""

    _decoder = msgspec.json.Decoder(Product)
    _ids_decoder = msgspec.json.Decoder(ProductIds)

    def __init__(
        self, clients: Clients, settings: GatewaySettings, products: Products, pages: ProductPages
    ) -> None:
        super().__init__(clients, settings)
        self._products = products
        self._pages = pages

    async def create(self, call: Call) -> Reply:
        """POST /v1/products"""
        request_id = call.idempotency_key()
        asked = await self.read(call, self._decoder)
        require_merchant(call, asked.merchant_id)
        request = pb.CreateProductRequest(
            tenant_id=call.tenant_id, request_id=request_id, product=product_proto(asked)
        )
        made = await self.clients.call(self.clients.products.CreateProduct, request)
        entry = self._keep(call, made).localised(call.languages)
        return _detail(entry, status=201, location=f"/v1/products/{made.product_id}")

    async def update(self, call: Call) -> Reply:
        """PUT /v1/products/{product_id}"""
        etag = call.if_match(required=True)
        asked = await self.read(call, self._decoder)
        product_id = call.path["product_id"]
        if asked.product_id not in ("", product_id):
            raise at_pointer("FIELD_INVALID", "/product_id", "not the product of the path")
        if call.caller.scope is not None:
            # A product never changes its merchant: what is seen here holds when it is written.
            self._require_own(call, await self._products.get(call.tenant_id, product_id))
        product = product_proto(asked)
        product.product_id = product_id
        # Each language's document holds the texts of all: whichever was read may be sent back.
        product.etag = version_of(etag)
        request = pb.UpdateProductRequest(tenant_id=call.tenant_id, product=product)
        updated = await self.clients.call(self.clients.products.UpdateProduct, request)
        return _detail(self._keep(call, updated).localised(call.languages))

    async def get(self, call: Call) -> Reply:
        """GET /v1/products/{product_id}"""
        entry = await self._products.get(call.tenant_id, call.path["product_id"])
        if call.caller.scope is not None:
            self._require_own(call, entry)
        entry = entry.localised(call.languages)
        if is_not_modified(call, entry.etag):
            reply = not_modified(entry.etag)
            reply.headers.append(VARY)
            return reply
        return _detail(entry, fields=call.query[params.FIELDS])

    async def page(self, call: Call) -> Reply:
        """GET /v1/products: by ids, or a page by filters."""
        query = call.query
        if query[_IDS] is not None:
            given = next((name for name in _FILTERS if query[name]), None)
            if given is not None:
                raise at_parameter("FIELD_INVALID", given, "not together with ids")
            return await self._batch(call, query[_IDS], query[params.FIELDS])
        query = {**query, "merchant_id": narrowed(call, "merchants")}
        request = pb.ListProductsRequest(
            tenant_id=call.tenant_id,
            page_size=query["page_size"],
            page_token=query["page_token"],
            merchant_id=query["merchant_id"],
            category=query["category"],
            status=query["status"],
            query=query["q"],
        )
        asked = (call.languages, *(query[name] for name in _FILTERS))
        page = await self._pages.get(call.tenant_id, asked, lambda: self._list(request, call.languages))
        body = page.body
        if (fields := query[params.FIELDS]) is not None:
            whole = _page_decoder.decode(body)
            body = _page([picked(bytes(one), fields) for one in whole.products], whole.next_page_token)
        return Reply(200, body, headers=_in(page.languages))

    async def _list(self, request: pb.ListProductsRequest, ranges: tuple[str, ...]) -> Page:
        page = await self.clients.call(self.clients.products.ListProducts, request)
        entries = [self._entry(request.tenant_id, product).localised(ranges) for product in page.products]
        return Page(_page([entry.body for entry in entries], page.next_page_token), _languages_of(entries))

    async def batch_get(self, call: Call) -> Reply:
        """POST /v1/products:batchGet"""
        return await self._batch(call, (await self.read(call, self._ids_decoder)).ids)

    async def _batch(self, call: Call, ids: Sequence[str], fields: Sequence[str] | None = None) -> Reply:
        valid = [one for one in ids if params.PRODUCT_ID.fullmatch(one)]
        found = dict(zip(valid, await self._products.get_many(call.tenant_id, valid), strict=True))
        if call.caller.scope is not None:
            found = {one: entry for one, entry in found.items() if entry is not None and _is_own(call, entry)}
        entries = [entry.localised(call.languages) for one in ids if (entry := found.get(one)) is not None]
        bodies = [picked(entry.body, fields) for entry in entries]
        missing = [one for one in ids if found.get(one) is None]
        body = b'{"products":[%b],"missing":%b}' % (b",".join(bodies), encode(missing))
        return Reply(200, body, headers=_in(_languages_of(entries)))

    def _entry(self, tenant_id: str, product: pb.Product) -> Entry:
        """A listed product: the one in memory where it is the same version."""
        held = self._products.held(tenant_id, product.product_id)
        return held if held is not None and held.version == product.version else entry_of(product)

    def _require_own(self, call: Call, entry: Entry) -> None:
        """Raises PRODUCT_NOT_FOUND for a product of a merchant outside the caller's scope."""
        if not _is_own(call, entry):
            raise product_missing()

    def _keep(self, call: Call, product: pb.Product) -> Entry:
        """Puts what this process has just written into the read model, so that its next reader sees it."""
        entry = entry_of(product)
        self._products.put(call.tenant_id, product.product_id, entry)
        self._pages.changed(call.tenant_id)
        return entry

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        faults = ("FIELD_INVALID", "GTIN_INVALID", "CURRENCY_UNKNOWN", "REGION_UNKNOWN", "SKU_TAKEN")
        return (
            Route(
                "POST",
                "/v1/products",
                self.create,
                allow("merchant"),
                "products",
                "Create a product",
                body=Product,
                body_example=examples.PRODUCT,
                status=201,
                answer=Product,
                answer_headers={"Location": "The product's path.", "ETag": "To be sent back with an update."},
                idempotency_key="required",
                references=frozenset({"MERCHANT_NOT_FOUND"}),
                reasons=(*faults, "MERCHANT_NOT_FOUND", "PRODUCT_EXISTS", "REQUEST_ID_REUSED"),
                scopes=MERCHANTS,
                localised=True,
            ),
            Route(
                "GET",
                "/v1/products",
                self.page,
                allow("storefront", "merchant", "warehouse", "reader"),
                "products",
                "List or search products, or get several by `ids`",
                "With `ids` the answer is a batch (`products`, `missing`); otherwise a page in the order of ids.",
                query=(
                    params.several(
                        _IDS,
                        "Products to get; not together with other parameters.",
                        items_max=IDS_MAX,
                        chars_max=256,
                        required=False,
                        example="silk-wig,ice-box",
                    ),
                    params.text(
                        "q",
                        "Only products in whose titles, category, SKUs and options each word of this is the beginning "
                        "of a word, whatever its case and accents; of scripts without spaces, as Chinese and Thai, "
                        "any part.",
                        chars_max=100,
                        example="peluca seda",
                    ),
                    params.text("merchant_id", "Only this merchant's.", chars_max=40),
                    params.text("category", "Only this category and those below it.", chars_max=200),
                    params.word("status", "Only this status.", STATUS.number_of),
                    params.fields(Product, "product"),
                    *params.paging(200, 50),
                ),
                answer=(ProductPage, ProductBatch),
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH", "TOO_MANY_ITEMS"),
                scopes=ANY_SCOPE,
                localised=True,
            ),
            Route(
                "POST",
                "/v1/products:batchGet",
                self.batch_get,
                allow("storefront", "merchant", "warehouse", "reader"),
                "products",
                "Get up to 200 products",
                limited_as="reads",
                body=ProductIds,
                body_example={"ids": ["silk-wig", "ice-box"]},
                answer=ProductBatch,
                reasons=("TOO_MANY_ITEMS",),
                scopes=ANY_SCOPE,
                localised=True,
            ),
            Route(
                "GET",
                "/v1/products/{product_id}",
                self.get,
                allow("storefront", "merchant", "warehouse", "reader"),
                "products",
                "Get a product",
                query=(params.fields(Product, "product"),),
                answer=Product,
                answer_headers={"ETag": "Changes with the product."},
                conditional=True,
                reasons=("PRODUCT_NOT_FOUND",),
                scopes=ANY_SCOPE,
                localised=True,
            ),
            Route(
                "PUT",
                "/v1/products/{product_id}",
                self.update,
                allow("merchant"),
                "products",
                "Replace a product's content",
                body=Product,
                body_example=examples.PRODUCT,
                answer=Product,
                answer_headers={"ETag": "Changes with the product."},
                etag="required",
                references=frozenset({"MERCHANT_NOT_FOUND"}),
                reasons=(
                    *faults,
                    "PRODUCT_NOT_FOUND",
                    "MERCHANT_IMMUTABLE",
                    "ETAG_MISMATCH",
                    "ETAG_REQUIRED",
                ),
                scopes=MERCHANTS,
                localised=True,
            ),
        )


def _is_own(call: Call, entry: Entry) -> bool:
    return call.caller.sees("merchants", _owned_decoder.decode(entry.body).merchant_id)


class _Page(msgspec.Struct):
    """A page of products that is not read any further."""

    products: list[msgspec.Raw]
    next_page_token: str


_page_decoder = msgspec.json.Decoder(_Page)


def _page(bodies: Sequence[bytes], next_page_token: str) -> bytes:
    return b'{"products":[%b],"next_page_token":%b}' % (b",".join(bodies), encode(next_page_token))


def _detail(
    entry: Entry, *, status: int = 200, location: str = "", fields: Sequence[str] | None = None
) -> Reply:
    headers = [(b"etag", entry.etag), *_in(entry.language)]
    if location:
        headers.append((b"location", location.encode()))
    return Reply(status, picked(entry.body, fields), headers=headers)


def _languages_of(entries: Iterable[Entry]) -> bytes:
    return b", ".join(dict.fromkeys(entry.language for entry in entries if entry.language))


def _in(languages: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """What says in which languages an answer is, and that others may get it in another."""
    return ((b"content-language", languages), VARY) if languages else (VARY,)
