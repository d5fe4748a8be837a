"""StockService."""

from collections.abc import Iterable

from sampan.warehouse.v1 import stock_service_pb2 as pb
from sampan.warehouse.v1 import stock_service_pb2_grpc as pb_grpc

from services.chassis import fields, pages
from services.chassis.errors import FieldInvalid, FieldRequired
from services.warehouse import wire
from services.warehouse.commands.availability import Availability, Promise
from services.warehouse.commands.stock import ADJUST, RECEIVE, Moved, Movement, Stock
from services.warehouse.domain.stock import ADJUSTMENT_SIGNS, LedgerReason
from services.warehouse.errors import QuantityInvalid
from services.warehouse.rpc import contract
from services.warehouse.rpc.contract import Context
from services.warehouse.store.stock import ENTRY_ID_MAX

LINES_MAX = 5_000
SKUS_MAX = 500
UNITS_MAX = 1_000_000_000
DOCUMENT_CHARS_MAX = 100
ACTOR_CHARS_MAX = 100
PAGE_DEFAULT, PAGE_MAX = 100, 1_000
_REASONS = {number: reason for reason, number in wire.LEDGER_REASONS.items()}


class StockService(pb_grpc.StockServiceServicer):
    """See stock_service.proto."""

    def __init__(self, stock: Stock, availability: Availability) -> None:
        self._stock = stock
        self._availability = availability

    async def ReceiveStock(self, request: pb.ReceiveStockRequest, context: Context) -> pb.StockMovement:
        """Books goods in."""
        contract.count("lines", len(request.lines), LINES_MAX)
        for index, line in enumerate(request.lines):
            if not 0 < line.quantity <= UNITS_MAX:
                raise QuantityInvalid(f"lines[{index}].quantity", f"1 to {UNITS_MAX}")
        return _movement_message(
            await self._stock.move(_movement(request, RECEIVE, LedgerReason.INBOUND_RECEIVE))
        )

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.StockMovement:
        """Corrects stock."""
        contract.count("lines", len(request.lines), LINES_MAX)
        reason = _REASONS.get(request.reason)
        sign = ADJUSTMENT_SIGNS.get(reason) if reason is not None else None
        if reason is None or sign is None:
            raise FieldInvalid("reason", "COUNT_GAIN, COUNT_LOSS, DAMAGE or DISPOSE")
        for index, line in enumerate(request.lines):
            if not 0 < line.quantity * sign <= UNITS_MAX:
                demand = (
                    f"{'1 to' if sign > 0 else '-1 to -'}{'' if sign < 0 else ' '}{UNITS_MAX} for {reason}"
                )
                raise QuantityInvalid(f"lines[{index}].quantity", demand)
        return _movement_message(await self._stock.move(_movement(request, ADJUST, reason)))

    async def ListStock(self, request: pb.ListStockRequest, context: Context) -> pb.ListStockResponse:
        """Reads a page of stock."""
        size = pages.page_size(request.page_size, default=PAGE_DEFAULT, maximum=PAGE_MAX)
        tenant_id = contract.tenant(request.tenant_id)
        if request.sku:
            contract.sku("sku", request.sku)
        if request.warehouse_id:
            contract.slug("warehouse_id", request.warehouse_id)
        bound_to = pages.filter_hash(tenant_id, "stock", request.sku, request.warehouse_id)
        cursor = contract.page(bound_to, request.page_token, str, str)
        after = (cursor[0], cursor[1]) if cursor else ("", "")
        rows = await self._stock.list(tenant_id, request.sku, request.warehouse_id, after, size + 1)
        page = rows[:size]
        return pb.ListStockResponse(
            stock=[wire.stock_message(row) for row in page],
            next_page_token=(
                pages.encode(bound_to, [page[-1].sku, page[-1].warehouse_id]) if len(rows) > size else ""
            ),
        )

    async def ListLedger(self, request: pb.ListLedgerRequest, context: Context) -> pb.ListLedgerResponse:
        """Reads a page of a SKU's ledger."""
        size = pages.page_size(request.page_size, default=PAGE_DEFAULT, maximum=PAGE_MAX)
        tenant_id = contract.tenant(request.tenant_id)
        sku = contract.sku("sku", request.sku)
        if request.warehouse_id:
            contract.slug("warehouse_id", request.warehouse_id)
        bound_to = pages.filter_hash(tenant_id, "ledger", sku, request.warehouse_id)
        cursor = contract.page(bound_to, request.page_token, int)
        before = cursor[0] if cursor else ENTRY_ID_MAX
        rows = await self._stock.list_ledger(tenant_id, sku, request.warehouse_id, before, size + 1)
        page = rows[:size]
        return pb.ListLedgerResponse(
            entries=[wire.ledger_message(row) for row in page],
            next_page_token=pages.encode(bound_to, [page[-1].entry_id]) if len(rows) > size else "",
        )

    async def BatchGetAvailability(
        self, request: pb.BatchGetAvailabilityRequest, context: Context
    ) -> pb.BatchGetAvailabilityResponse:
        """Tells what can be promised."""
        contract.count("skus", len(request.skus), SKUS_MAX)
        tenant_id = contract.tenant(request.tenant_id)
        skus = [contract.sku(f"skus[{index}]", sku) for index, sku in enumerate(request.skus)]
        region_code = contract.region("region_code", request.region_code) if request.region_code else ""
        promises = await self._availability.of(tenant_id, skus, region_code)
        return pb.BatchGetAvailabilityResponse(
            availabilities=[
                _availability_message(sku, of_sku) for sku, of_sku in zip(skus, promises, strict=True)
            ]
        )


def _movement(
    request: pb.ReceiveStockRequest | pb.AdjustStockRequest, route: str, reason: LedgerReason
) -> Movement:
    units: dict[str, int] = {}
    first_lines: list[int] = []
    for index, line in enumerate(request.lines):
        sku = contract.sku(f"lines[{index}].sku", line.sku)
        if sku not in units:
            units[sku] = 0
            first_lines.append(index)
        units[sku] += line.quantity
    if not request.actor:
        raise FieldRequired("actor")
    return Movement(
        contract.tenant(request.tenant_id),
        route,
        fields.request_id(request.request_id),
        contract.slug("warehouse_id", request.warehouse_id),
        contract.slug("merchant_id", request.merchant_id),
        contract.text("document", request.document, DOCUMENT_CHARS_MAX),
        reason,
        contract.text("actor", request.actor, ACTOR_CHARS_MAX),
        tuple(units.items()),
        tuple(first_lines),
    )


def _movement_message(moved: Moved) -> pb.StockMovement:
    return pb.StockMovement(stock=[wire.stock_message(row) for row in moved.stock], replayed=moved.replayed)


def _availability_message(sku: str, promises: Iterable[Promise]) -> pb.Availability:
    message = pb.Availability(sku=sku)
    for promise in promises:
        message.available += promise.available
        message.warehouses.add(
            warehouse_id=promise.warehouse_id,
            available=promise.available,
            transit_days_min=promise.transit_days_min,
            transit_days_max=promise.transit_days_max,
        )
    return message
