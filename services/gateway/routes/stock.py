"""Stock and its ledger, for operators."""

import msgspec
from sampan.warehouse.v1 import stock_service_pb2 as pb

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import WAREHOUSES, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import narrowed, require_warehouse
from services.gateway.schemas.warehouse import AdjustStock, LedgerPage, ReceiveStock, StockMovement, StockPage
from services.gateway.translate.warehouse import LEDGER_REASON, ledger_entry_of, stock_of


class StockRoutes(Resource):
    """List, receive, adjust, ledger."""

    _receive_decoder = msgspec.json.Decoder(ReceiveStock)
    _adjust_decoder = msgspec.json.Decoder(AdjustStock)

    async def page(self, call: Call) -> Reply:
        """GET /v1/stock"""
        query = call.query
        request = pb.ListStockRequest(
            tenant_id=call.tenant_id,
            page_size=query["page_size"],
            page_token=query["page_token"],
            sku=query["sku"],
            warehouse_id=narrowed(call, "warehouses"),
        )
        page = await self.clients.call(self.clients.stock.ListStock, request)
        return document(StockPage([stock_of(one) for one in page.stock], page.next_page_token))

    async def receive(self, call: Call) -> Reply:
        """POST /v1/stock:receive"""
        request_id = call.idempotency_key()
        asked = await self.read(call, self._receive_decoder)
        require_warehouse(call, asked.warehouse_id)
        request = pb.ReceiveStockRequest(
            tenant_id=call.tenant_id,
            request_id=request_id,
            warehouse_id=asked.warehouse_id,
            merchant_id=asked.merchant_id,
            document=asked.document,
            lines=[pb.StockLine(sku=line.sku, quantity=line.quantity) for line in asked.lines],
            actor=call.caller.actor,
        )
        return _movement(await self.clients.call(self.clients.stock.ReceiveStock, request))

    async def adjust(self, call: Call) -> Reply:
        """POST /v1/stock:adjust"""
        request_id = call.idempotency_key()
        asked = await self.read(call, self._adjust_decoder)
        require_warehouse(call, asked.warehouse_id)
        request = pb.AdjustStockRequest(
            tenant_id=call.tenant_id,
            request_id=request_id,
            warehouse_id=asked.warehouse_id,
            merchant_id=asked.merchant_id,
            document=asked.document,
            reason=LEDGER_REASON.number(asked.reason),
            lines=[pb.StockLine(sku=line.sku, quantity=line.quantity) for line in asked.lines],
            actor=call.caller.actor,
        )
        return _movement(await self.clients.call(self.clients.stock.AdjustStock, request))

    async def ledger(self, call: Call) -> Reply:
        """GET /v1/stock/ledger"""
        query = call.query
        request = pb.ListLedgerRequest(
            tenant_id=call.tenant_id,
            sku=query["sku"],
            warehouse_id=narrowed(call, "warehouses"),
            page_size=query["page_size"],
            page_token=query["page_token"],
        )
        page = await self.clients.call(self.clients.stock.ListLedger, request)
        return document(LedgerPage([ledger_entry_of(one) for one in page.entries], page.next_page_token))

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        warehouse = params.text("warehouse_id", "Only this warehouse.", chars_max=40)
        booking = (
            "FIELD_INVALID",
            "QUANTITY_INVALID",
            "TOO_MANY_ITEMS",
            "WAREHOUSE_NOT_FOUND",
            "STOCK_OWNER_MISMATCH",
            "REQUEST_ID_REUSED",
        )
        replayed = {"Idempotency-Replayed": "`true` where the key was used before."}
        return (
            Route(
                "GET",
                "/v1/stock",
                self.page,
                allow("warehouse", "reader"),
                "stock",
                "List stock",
                query=(
                    params.text("sku", "Only this SKU.", chars_max=params.SKU_CHARS_MAX),
                    warehouse,
                    *params.paging(1000, 100),
                ),
                answer=StockPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=WAREHOUSES,
            ),
            Route(
                "GET",
                "/v1/stock/ledger",
                self.ledger,
                allow("warehouse", "reader"),
                "stock",
                "The ledger of a SKU, newest first",
                name="listStockLedger",
                query=(
                    params.text(
                        "sku", "The SKU.", chars_max=params.SKU_CHARS_MAX, required=True, example="WIG-18"
                    ),
                    warehouse,
                    *params.paging(1000, 100),
                ),
                answer=LedgerPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/stock:receive",
                self.receive,
                allow("warehouse"),
                "stock",
                "Book goods in",
                "All lines or none.",
                body=ReceiveStock,
                body_example=examples.RECEIVE,
                answer=StockMovement,
                answer_headers=replayed,
                idempotency_key="required",
                references=frozenset({"WAREHOUSE_NOT_FOUND"}),
                reasons=booking,
                scopes=WAREHOUSES,
            ),
            Route(
                "POST",
                "/v1/stock:adjust",
                self.adjust,
                allow("warehouse"),
                "stock",
                "Correct stock",
                "All lines or none; `count_gain` is positive, the other reasons are negative.",
                body=AdjustStock,
                body_example=examples.ADJUST,
                answer=StockMovement,
                answer_headers=replayed,
                idempotency_key="required",
                references=frozenset({"WAREHOUSE_NOT_FOUND"}),
                reasons=(*booking, "STOCK_INSUFFICIENT"),
                scopes=WAREHOUSES,
            ),
        )


def _movement(movement: pb.StockMovement) -> Reply:
    reply = document(StockMovement([stock_of(one) for one in movement.stock]))
    if movement.replayed:
        reply.headers.append((b"idempotency-replayed", b"true"))
    return reply
