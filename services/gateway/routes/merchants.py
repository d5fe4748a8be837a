"""Merchants: the sellers of the marketplace."""

import contextlib

import msgspec
from sampan.catalog.v1 import merchant_service_pb2 as pb

from services.chassis.errors import NotFound
from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import ANY_SCOPE, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import require_merchant
from services.gateway.schemas.catalog import Merchant, MerchantPage
from services.gateway.translate.catalog import merchant_of, merchant_proto


class Merchants(Resource):
    """Create, get, list."""

    _decoder = msgspec.json.Decoder(Merchant)

    async def create(self, call: Call) -> Reply:
        """POST /v1/merchants"""
        asked = await self.read(call, self._decoder)
        request = pb.CreateMerchantRequest(tenant_id=call.tenant_id, merchant=merchant_proto(asked))
        made = await self.clients.call(self.clients.merchants.CreateMerchant, request)
        return document(merchant_of(made), status=201, location=f"/v1/merchants/{made.merchant_id}")

    async def get(self, call: Call) -> Reply:
        """GET /v1/merchants/{merchant_id}"""
        require_merchant(call, call.path["merchant_id"])
        request = pb.GetMerchantRequest(tenant_id=call.tenant_id, merchant_id=call.path["merchant_id"])
        return document(merchant_of(await self.clients.call(self.clients.merchants.GetMerchant, request)))

    async def page(self, call: Call) -> Reply:
        """GET /v1/merchants"""
        if call.caller.scope == "merchants":
            return document(MerchantPage(await self._own(call), ""))
        request = pb.ListMerchantsRequest(
            tenant_id=call.tenant_id, page_size=call.query["page_size"], page_token=call.query["page_token"]
        )
        page = await self.clients.call(self.clients.merchants.ListMerchants, request)
        return document(MerchantPage([merchant_of(one) for one in page.merchants], page.next_page_token))

    async def _own(self, call: Call) -> list[Merchant]:
        """Those of a restricted caller that exist, in the order of their ids; it has few."""
        found = []
        for merchant_id in sorted(call.caller.scope_ids):
            request = pb.GetMerchantRequest(tenant_id=call.tenant_id, merchant_id=merchant_id)
            with contextlib.suppress(NotFound):
                found.append(
                    merchant_of(await self.clients.call(self.clients.merchants.GetMerchant, request))
                )
        return found

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "POST",
                "/v1/merchants",
                self.create,
                allow(),
                "merchants",
                "Create a merchant",
                "Repeating it with the same content returns the stored merchant.",
                body=Merchant,
                body_example=examples.MERCHANT,
                status=201,
                answer=Merchant,
                answer_headers={"Location": "The merchant's path."},
                reasons=("MERCHANT_EXISTS", "REGION_UNKNOWN"),
            ),
            Route(
                "GET",
                "/v1/merchants",
                self.page,
                allow("storefront", "merchant", "warehouse", "reader"),
                "merchants",
                "List merchants",
                query=params.paging(200, 50),
                answer=MerchantPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=ANY_SCOPE,
            ),
            Route(
                "GET",
                "/v1/merchants/{merchant_id}",
                self.get,
                allow("storefront", "merchant", "warehouse", "reader"),
                "merchants",
                "Get a merchant",
                answer=Merchant,
                reasons=("MERCHANT_NOT_FOUND",),
                scopes=ANY_SCOPE,
            ),
        )
