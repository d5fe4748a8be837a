"""Availability from the read model: no call behind it."""

from collections.abc import Callable

import msgspec

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem, at_parameter, at_pointer
from services.gateway.readmodel.availability import AvailabilityModel
from services.gateway.roles import allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.schemas.warehouse import AvailabilityBatch, AvailabilityQuery

IsCaughtUp = Callable[[], bool]


class AvailabilityRoutes(Resource):
    """Get by query, and by body for many SKUs."""

    _decoder = msgspec.json.Decoder(AvailabilityQuery)

    def __init__(
        self, clients: Clients, settings: GatewaySettings, model: AvailabilityModel, is_caught_up: IsCaughtUp
    ) -> None:
        super().__init__(clients, settings)
        self._model = model
        self._is_caught_up = is_caught_up

    async def get(self, call: Call) -> Reply:
        """GET /v1/availability"""
        region_code: str = call.query["region_code"]
        if region_code and not params.is_region(region_code):
            raise at_parameter("REGION_UNKNOWN", "region_code", "not an ISO 3166-1 alpha-2 country")
        return self._answer(call, call.query["skus"], region_code)

    async def batch_get(self, call: Call) -> Reply:
        """POST /v1/availability:batchGet"""
        asked = await self.read(call, self._decoder)
        if asked.region_code and not params.is_region(asked.region_code):
            raise at_pointer("REGION_UNKNOWN", "/region_code", "not an ISO 3166-1 alpha-2 country")
        return self._answer(call, asked.skus, asked.region_code)

    def _answer(self, call: Call, skus: list[str], region_code: str) -> Reply:
        if not self._is_caught_up():
            # Before that a SKU that has not arrived yet would look sold out.
            raise Problem("STARTING", "availability is being rebuilt", retry_after_s=1)
        get = self._model.get
        tenant_id = call.tenant_id
        return document(AvailabilityBatch([get(tenant_id, sku, region_code) for sku in skus]))

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/v1/availability",
                self.get,
                allow("storefront", "merchant", "warehouse", "reader"),
                "availability",
                "What can be promised of some SKUs",
                name="getAvailability",
                query=(
                    params.several(
                        "skus",
                        "The SKUs.",
                        items_max=200,
                        chars_max=64,
                        required=True,
                        example="WIG-18,ICE-200",
                    ),
                    params.text(
                        "region_code", "Destination: only warehouses that serve it count.", chars_max=64
                    ),
                ),
                answer=AvailabilityBatch,
                answer_example=examples.AVAILABILITY,
                reasons=("REGION_UNKNOWN", "TOO_MANY_ITEMS"),
            ),
            Route(
                "POST",
                "/v1/availability:batchGet",
                self.batch_get,
                allow("storefront", "merchant", "warehouse", "reader"),
                "availability",
                "What can be promised of up to 5,000 SKUs",
                limited_as="reads",
                body=AvailabilityQuery,
                body_example={"skus": ["WIG-18", "ICE-200"], "region_code": "ES"},
                answer=AvailabilityBatch,
                answer_example=examples.AVAILABILITY,
                reasons=("REGION_UNKNOWN", "TOO_MANY_ITEMS"),
            ),
        )
