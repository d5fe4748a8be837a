"""WarehouseService."""

import re

from sampan.warehouse.v1 import warehouse_service_pb2 as pb
from sampan.warehouse.v1 import warehouse_service_pb2_grpc as pb_grpc

from services.chassis import pages
from services.chassis.errors import FieldInvalid, FieldRequired, InvalidArgument, TooManyItems
from services.chassis.rpc import money
from services.warehouse import wire
from services.warehouse.commands.warehouses import Warehouses
from services.warehouse.domain.warehouses import ServedCountry, WarehouseContent
from services.warehouse.rpc import contract
from services.warehouse.rpc.contract import Context

PAGE_DEFAULT, PAGE_MAX = 50, 200
NAME_CHARS_MAX = 200
COUNTRIES_MAX = 250
DAYS_MAX = 365
PRIORITY_MAX = 1_000
_CELL = re.compile(r"[A-Z0-9-]{1,16}")
_KINDS = {number: kind for kind, number in wire.WAREHOUSE_KINDS.items()}


class WarehouseService(pb_grpc.WarehouseServiceServicer):
    """See warehouse_service.proto."""

    def __init__(self, warehouses: Warehouses) -> None:
        self._warehouses = warehouses

    async def CreateWarehouse(self, request: pb.CreateWarehouseRequest, context: Context) -> pb.Warehouse:
        """Creates a warehouse."""
        tenant_id, content = contract.tenant(request.tenant_id), _content(request)
        return wire.warehouse_message(await self._warehouses.create(tenant_id, content))

    async def UpdateWarehouse(self, request: pb.UpdateWarehouseRequest, context: Context) -> pb.Warehouse:
        """Replaces a warehouse's content."""
        tenant_id, content = contract.tenant(request.tenant_id), _content(request)
        if not request.warehouse.etag:
            raise FieldRequired("warehouse.etag")
        stored = await self._warehouses.replace(tenant_id, content, request.warehouse.etag)
        return wire.warehouse_message(stored)

    async def GetWarehouse(self, request: pb.GetWarehouseRequest, context: Context) -> pb.Warehouse:
        """Reads one warehouse."""
        tenant_id = contract.tenant(request.tenant_id)
        warehouse_id = contract.slug("warehouse_id", request.warehouse_id)
        return wire.warehouse_message(await self._warehouses.get(tenant_id, warehouse_id))

    async def ListWarehouses(
        self, request: pb.ListWarehousesRequest, context: Context
    ) -> pb.ListWarehousesResponse:
        """Reads a page of warehouses."""
        size = pages.page_size(request.page_size, default=PAGE_DEFAULT, maximum=PAGE_MAX)
        tenant_id = contract.tenant(request.tenant_id)
        bound_to = pages.filter_hash(tenant_id, "warehouses")
        cursor = contract.page(bound_to, request.page_token, str)
        found = await self._warehouses.list_after(tenant_id, cursor[0] if cursor else "", size + 1)
        page = found[:size]
        return pb.ListWarehousesResponse(
            warehouses=[wire.warehouse_message(warehouse) for warehouse in page],
            next_page_token=(
                pages.encode(bound_to, [page[-1].content.warehouse_id]) if len(found) > size else ""
            ),
        )


def _content(request: pb.CreateWarehouseRequest | pb.UpdateWarehouseRequest) -> WarehouseContent:
    if not request.HasField("warehouse"):
        raise FieldRequired("warehouse")
    message = request.warehouse
    warehouse_id = contract.slug("warehouse.warehouse_id", message.warehouse_id)
    display_name = contract.text("warehouse.display_name", message.display_name, NAME_CHARS_MAX)
    region_code = contract.region("warehouse.region_code", message.region_code)
    if not _CELL.fullmatch(message.cell):
        raise FieldInvalid("warehouse.cell", "1 to 16 of A-Z, 0-9 and -")
    if message.kind not in _KINDS:
        raise FieldInvalid("warehouse.kind", "OVERSEAS or ORIGIN")
    if not 0 <= message.priority <= PRIORITY_MAX:
        raise FieldInvalid("warehouse.priority", f"0 to {PRIORITY_MAX}")
    if len(message.served_countries) > COUNTRIES_MAX:
        raise TooManyItems("warehouse.served_countries", COUNTRIES_MAX)
    served = tuple([_served(index, country) for index, country in enumerate(message.served_countries)])
    if len({country.region_code for country in served}) != len(served):
        raise FieldInvalid("warehouse.served_countries", "each country once")
    return WarehouseContent(
        warehouse_id,
        display_name,
        region_code,
        message.cell,
        _KINDS[message.kind],
        served,
        message.priority,
        message.ships_hazards,
        message.disabled,
    )


def _served(index: int, message: pb.ServedCountry) -> ServedCountry:
    path = f"warehouse.served_countries[{index}]"
    region_code = contract.region(f"{path}.region_code", message.region_code)
    if not 0 <= message.transit_days_min <= message.transit_days_max <= DAYS_MAX:
        raise FieldInvalid(f"{path}.transit_days_max", f"transit_days_min to {DAYS_MAX}")
    try:
        cost_minor, currency_code = money.from_proto(message.cost)
    except InvalidArgument as error:
        raise InvalidArgument(error.reason, error.message, field=f"{path}.cost") from error
    if cost_minor < 0:
        raise FieldInvalid(f"{path}.cost", "0 or more")
    return ServedCountry(
        region_code, message.transit_days_min, message.transit_days_max, cost_minor, currency_code
    )
