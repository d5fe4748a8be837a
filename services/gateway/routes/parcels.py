"""Parcels, for operators."""

import msgspec
from sampan.warehouse.v1 import parcel_service_pb2 as pb

from services.chassis.rpc.status import error_of
from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.catalogue import CATALOGUE
from services.gateway.roles import WAREHOUSES, allow
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import narrowed, parcel_missing
from services.gateway.schemas.warehouse import (
    AdvanceParcel,
    AdvanceParcels,
    AdvanceRefusal,
    AdvanceResult,
    AdvanceResults,
    Parcel,
    ParcelPage,
    ShipParcel,
)
from services.gateway.translate.warehouse import PARCEL_STATE, advance_proto, parcel_of


class Parcels(Resource):
    """Get, list, and move on: one by one or many at once."""

    _ship_decoder = msgspec.json.Decoder(ShipParcel)
    _batch_decoder = msgspec.json.Decoder(AdvanceParcels)

    async def get(self, call: Call) -> Reply:
        """GET /v1/parcels/{parcel_id}"""
        return document(parcel_of(await self._parcel(call, call.path["parcel_id"])))

    async def page(self, call: Call) -> Reply:
        """GET /v1/parcels"""
        query = call.query
        request = pb.ListParcelsRequest(
            tenant_id=call.tenant_id,
            page_size=query["page_size"],
            page_token=query["page_token"],
            order_id=query["order_id"],
            warehouse_id=narrowed(call, "warehouses"),
            state=query["state"],
        )
        page = await self.clients.call(self.clients.parcels.ListParcels, request)
        return document(ParcelPage([parcel_of(one) for one in page.parcels], page.next_page_token))

    async def pack(self, call: Call) -> Reply:
        """POST /v1/parcels/{parcel_id}:pack"""
        return await self._advance_one(call, AdvanceParcel(parcel_id=call.path["parcel_id"], state="packed"))

    async def ship(self, call: Call) -> Reply:
        """POST /v1/parcels/{parcel_id}:ship"""
        asked = await self.read(call, self._ship_decoder)
        return await self._advance_one(
            call,
            AdvanceParcel(
                parcel_id=call.path["parcel_id"],
                state="shipped",
                carrier=asked.carrier,
                tracking_number=asked.tracking_number,
            ),
        )

    async def deliver(self, call: Call) -> Reply:
        """POST /v1/parcels/{parcel_id}:deliver"""
        return await self._advance_one(
            call, AdvanceParcel(parcel_id=call.path["parcel_id"], state="delivered")
        )

    async def batch_advance(self, call: Call) -> Reply:
        """POST /v1/parcels:batchAdvance"""
        asked = await self.read(call, self._batch_decoder)
        reply = await self._advance(call, asked.requests)
        return document(AdvanceResults([_result_of(result) for result in reply.results]))

    async def _parcel(self, call: Call, parcel_id: str) -> pb.Parcel:
        request = pb.GetParcelRequest(tenant_id=call.tenant_id, parcel_id=parcel_id)
        parcel = await self.clients.call(self.clients.parcels.GetParcel, request)
        if not call.caller.sees("warehouses", parcel.warehouse_id):
            raise parcel_missing(parcel_id)
        return parcel

    async def _advance_one(self, call: Call, asked: AdvanceParcel) -> Reply:
        if call.caller.scope is not None:
            # A parcel never changes its warehouse: what is seen here holds when it is moved.
            await self._parcel(call, asked.parcel_id)
        reply = await self._advance(call, [asked])
        result = reply.results[0]
        if result.HasField("error"):
            raise error_of(result.error)
        return document(parcel_of(result.parcel))

    async def _advance(self, call: Call, asked: list[AdvanceParcel]) -> pb.BatchAdvanceParcelsResponse:
        request = pb.BatchAdvanceParcelsRequest(
            requests=[advance_proto(one, call.tenant_id) for one in asked]
        )
        return await self.clients.call(self.clients.parcels.BatchAdvanceParcels, request)

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        moves = ("PARCEL_NOT_FOUND", "PARCEL_STATE_WRONG")
        return (
            Route(
                "GET",
                "/v1/parcels",
                self.page,
                allow("warehouse", "reader"),
                "parcels",
                "List parcels, in the order of their opening",
                query=(
                    params.uuid("order_id", "Only this order's."),
                    params.text("warehouse_id", "Only from this warehouse.", chars_max=40),
                    params.word("state", "Only in this state.", PARCEL_STATE.number_of),
                    *params.paging(500, 50),
                ),
                answer=ParcelPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=WAREHOUSES,
            ),
            Route(
                "GET",
                "/v1/parcels/{parcel_id}",
                self.get,
                allow("warehouse", "reader"),
                "parcels",
                "Get a parcel",
                answer=Parcel,
                reasons=("PARCEL_NOT_FOUND",),
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/parcels/{parcel_id}:pack",
                self.pack,
                allow("warehouse"),
                "parcels",
                "A parcel was packed",
                answer=Parcel,
                reasons=moves,
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/parcels/{parcel_id}:ship",
                self.ship,
                allow("warehouse"),
                "parcels",
                "A parcel was handed to the carrier",
                body=ShipParcel,
                body_example={"carrier": "SEUR", "tracking_number": "SE123456789ES"},
                answer=Parcel,
                reasons=(*moves, "FIELD_REQUIRED", "FIELD_INVALID"),
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/parcels/{parcel_id}:deliver",
                self.deliver,
                allow("warehouse"),
                "parcels",
                "A parcel arrived",
                answer=Parcel,
                reasons=moves,
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/parcels:batchAdvance",
                self.batch_advance,
                allow("warehouse"),
                "parcels",
                "Move up to 500 parcels on, each by itself",
                body=AdvanceParcels,
                body_example={
                    "requests": [{"parcel_id": "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11", "state": "packed"}]
                },
                answer=AdvanceResults,
                keep_wrapper=True,
                reasons=("FIELD_INVALID", "TOO_MANY_ITEMS"),
            ),
        )


def _result_of(result: pb.ParcelResult) -> AdvanceResult:
    if result.HasField("parcel"):
        return AdvanceResult(parcel=parcel_of(result.parcel))
    error = error_of(result.error)
    kind = CATALOGUE.get(error.reason, CATALOGUE["INTERNAL"])
    return AdvanceResult(error=AdvanceRefusal(kind.uri, kind.reason, error.message))
