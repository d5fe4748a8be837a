"""Warehouses, for operators."""

import contextlib

import msgspec
from sampan.warehouse.v1 import warehouse_service_pb2 as pb

from services.chassis.errors import NotFound
from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.errors import at_pointer
from services.gateway.roles import WAREHOUSES, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document, is_not_modified, not_modified
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import require_warehouse
from services.gateway.schemas.warehouse import Warehouse, WarehousePage
from services.gateway.translate.warehouse import warehouse_of, warehouse_proto


class Warehouses(Resource):
    """Create, update, get, list."""

    _decoder = msgspec.json.Decoder(Warehouse)

    async def create(self, call: Call) -> Reply:
        """POST /v1/warehouses"""
        asked = await self.read(call, self._decoder)
        request = pb.CreateWarehouseRequest(tenant_id=call.tenant_id, warehouse=warehouse_proto(asked))
        made = await self.clients.call(self.clients.warehouses.CreateWarehouse, request)
        location = f"/v1/warehouses/{made.warehouse_id}"
        return document(warehouse_of(made), status=201, etag=made.etag, location=location)

    async def update(self, call: Call) -> Reply:
        """PUT /v1/warehouses/{warehouse_id}"""
        etag = call.if_match(required=True)
        asked = await self.read(call, self._decoder)
        warehouse_id = call.path["warehouse_id"]
        if asked.warehouse_id not in ("", warehouse_id):
            raise at_pointer("FIELD_INVALID", "/warehouse_id", "not the warehouse of the path")
        warehouse = warehouse_proto(asked)
        warehouse.warehouse_id = warehouse_id
        warehouse.etag = etag
        request = pb.UpdateWarehouseRequest(tenant_id=call.tenant_id, warehouse=warehouse)
        made = await self.clients.call(self.clients.warehouses.UpdateWarehouse, request)
        return document(warehouse_of(made), etag=made.etag)

    async def get(self, call: Call) -> Reply:
        """GET /v1/warehouses/{warehouse_id}"""
        require_warehouse(call, call.path["warehouse_id"])
        request = pb.GetWarehouseRequest(tenant_id=call.tenant_id, warehouse_id=call.path["warehouse_id"])
        found = await self.clients.call(self.clients.warehouses.GetWarehouse, request)
        quoted = f'"{found.etag}"'.encode()
        if is_not_modified(call, quoted):
            return not_modified(quoted)
        return document(warehouse_of(found), etag=found.etag)

    async def page(self, call: Call) -> Reply:
        """GET /v1/warehouses"""
        if call.caller.scope == "warehouses":
            return document(WarehousePage(await self._own(call), ""))
        request = pb.ListWarehousesRequest(
            tenant_id=call.tenant_id, page_size=call.query["page_size"], page_token=call.query["page_token"]
        )
        page = await self.clients.call(self.clients.warehouses.ListWarehouses, request)
        return document(WarehousePage([warehouse_of(one) for one in page.warehouses], page.next_page_token))

    async def _own(self, call: Call) -> list[Warehouse]:
        """Those of a restricted caller that exist, in the order of their ids; it has few."""
        found = []
        for warehouse_id in sorted(call.caller.scope_ids):
            request = pb.GetWarehouseRequest(tenant_id=call.tenant_id, warehouse_id=warehouse_id)
            with contextlib.suppress(NotFound):
                found.append(
                    warehouse_of(await self.clients.call(self.clients.warehouses.GetWarehouse, request))
                )
        return found

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        faults = ("FIELD_REQUIRED", "FIELD_INVALID", "REGION_UNKNOWN", "CURRENCY_UNKNOWN")
        etag = {"ETag": "To be sent back with an update."}
        return (
            Route(
                "POST",
                "/v1/warehouses",
                self.create,
                allow(),
                "warehouses",
                "Create a warehouse",
                "Repeating it with the same content returns the stored warehouse.",
                body=Warehouse,
                body_example=examples.WAREHOUSE,
                status=201,
                answer=Warehouse,
                answer_headers={"Location": "The warehouse's path.", **etag},
                reasons=(*faults, "WAREHOUSE_EXISTS"),
            ),
            Route(
                "GET",
                "/v1/warehouses",
                self.page,
                allow("warehouse", "reader"),
                "warehouses",
                "List warehouses",
                query=params.paging(200, 50),
                answer=WarehousePage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=WAREHOUSES,
            ),
            Route(
                "GET",
                "/v1/warehouses/{warehouse_id}",
                self.get,
                allow("warehouse", "reader"),
                "warehouses",
                "Get a warehouse",
                answer=Warehouse,
                answer_headers=etag,
                conditional=True,
                reasons=("WAREHOUSE_NOT_FOUND",),
                scopes=WAREHOUSES,
            ),
            Route(
                "PUT",
                "/v1/warehouses/{warehouse_id}",
                self.update,
                allow(),
                "warehouses",
                "Replace a warehouse's content",
                body=Warehouse,
                body_example=examples.WAREHOUSE,
                answer=Warehouse,
                answer_headers=etag,
                etag="required",
                reasons=(*faults, "WAREHOUSE_NOT_FOUND", "ETAG_MISMATCH", "ETAG_REQUIRED"),
            ),
        )
