"""Orders: place, read, cancel, pay; quotes. The stream of an order's changes is in `order_events`."""

import functools
import re
import time

import msgspec
from google.rpc.status_pb2 import Status
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import log, trace
from services.chassis.errors import DomainError, ResourceExhausted, Unavailable
from services.chassis.rpc import times
from services.chassis.rpc.status import error_of
from services.gateway import params
from services.gateway.admission import Admission
from services.gateway.call import Call, Reply
from services.gateway.clients import Clients
from services.gateway.collector import PlacementCollector, copy_of
from services.gateway.config import GatewaySettings
from services.gateway.order_feed import OrderFeed, Subscription
from services.gateway.order_reader import OrderReader
from services.gateway.roles import MERCHANTS, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import (
    Resource,
    document,
    encode,
    is_not_modified,
    not_modified,
    picked,
)
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import narrowed, require_order
from services.gateway.schemas.orders import (
    CancelOrder,
    Order,
    OrderHistory,
    OrderPage,
    PayOrder,
    PlaceOrder,
    Quote,
    QuoteCart,
)
from services.gateway.sold_out import SoldOut
from services.gateway.translate.orders import (
    STATE,
    order_of,
    place_proto,
    quote_of,
    quote_proto,
    transition_of,
)

WAIT_POLL_S = 1.0
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)

_log = log.get(__name__)


@functools.lru_cache(maxsize=512)
def _refusal(status: bytes) -> DomainError:
    return error_of(Status.FromString(status))


class Orders(Resource):
    """Everything about orders but their streams."""

    _place_decoder = msgspec.json.Decoder(PlaceOrder)
    _quote_decoder = msgspec.json.Decoder(QuoteCart)
    _cancel_decoder = msgspec.json.Decoder(CancelOrder)
    _pay_decoder = msgspec.json.Decoder(PayOrder)

    def __init__(
        self,
        clients: Clients,
        settings: GatewaySettings,
        collector: PlacementCollector,
        feed: OrderFeed,
        sold_out: SoldOut,
        admission: Admission,
        reader: OrderReader,
    ) -> None:
        super().__init__(clients, settings)
        self._reader = reader
        self._collector = collector
        self._feed = feed
        self._sold_out = sold_out
        self._admission = admission

    async def place(self, call: Call) -> Reply:
        """POST /v1/orders"""
        request_id = call.idempotency_key()
        wait_s = self._wait_s(call)
        asked = await self.read(call, self._place_decoder)
        request = place_proto(
            asked, tenant_id=call.tenant_id, request_id=request_id, traceparent=call.traceparent
        )
        sold_out_line = self._sold_out.line_number(call.tenant_id, asked.ship_to.region_code, asked.lines)
        if sold_out_line:
            request.sold_out_line = sold_out_line
        entered_s = self._admission.enter()
        try:
            result = await self._collector.place(request)
        except ResourceExhausted as error:
            self._admission.pause(error.retry_after_s or 0.0)
            raise
        finally:
            self._admission.leave(entered_s)
        if result.HasField("error"):
            # A flood of orders for one SKU gets one refusal again and again: it is read once.
            raise copy_of(_refusal(result.error.SerializeToString()))
        order = result.order
        if trace.is_sampled(call.traceparent):
            _log.info("order placed", order_id=order.order_id, replayed=result.replayed)
        headers = [(b"location", f"/v1/orders/{order.order_id}".encode())]
        if result.replayed:
            headers.append((b"idempotency-replayed", b"true"))
        if wait_s:
            call.settle()
            try:
                order = await self._decided(call.tenant_id, order, wait_s, is_new=not result.replayed)
                headers.append((b"preference-applied", b"wait=%d" % wait_s))
            except DomainError as error:
                # The order is placed: what hinders watching it must not look like a refusal.
                _log.warning("an order could not be waited for", order_id=order.order_id, reason=error.reason)
        headers.append((b"etag", f'"{order.etag}"'.encode()))
        return Reply(201, encode(order_of(order)), headers=headers)

    async def quote(self, call: Call) -> Reply:
        """POST /v1/quotes"""
        asked = await self.read(call, self._quote_decoder)
        request = quote_proto(asked, tenant_id=call.tenant_id)
        return document(quote_of(await self.clients.call(self.clients.orders.QuoteOrder, request)))

    async def get(self, call: Call) -> Reply:
        """GET /v1/orders/{order_id}"""
        order = await self._reader.read(call.tenant_id, call.path["order_id"])
        require_order(call, order)
        quoted = f'"{order.etag}"'.encode()
        if is_not_modified(call, quoted):
            return not_modified(quoted)
        if (fields := call.query[params.FIELDS]) is not None:
            return Reply(200, picked(encode(order_of(order)), fields), headers=((b"etag", quoted),))
        return document(order_of(order), etag=order.etag)

    async def page(self, call: Call) -> Reply:
        """GET /v1/orders"""
        query = call.query
        request = pb.ListOrdersRequest(
            tenant_id=call.tenant_id,
            page_size=query["page_size"],
            page_token=query["page_token"],
            buyer_ref=query["buyer_ref"],
            state=query["state"],
            merchant_id=narrowed(call, "merchants"),
        )
        for name in ("create_time_from", "create_time_before"):
            if query[name] is not None:
                times.write(getattr(request, name), query[name])
        page = await self.clients.call(self.clients.orders.ListOrders, request)
        wanted = request.merchant_id
        if wanted and any(order.merchant_id != wanted for order in page.orders):
            # Of the release before, which knows no such filter: neither its page nor its token is for this caller.
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "orders cannot list those of one merchant yet")
        orders = [order_of(order) for order in page.orders]
        if (fields := query[params.FIELDS]) is not None:
            sparse = [msgspec.Raw(picked(encode(order), fields)) for order in orders]
            return document({"orders": sparse, "next_page_token": page.next_page_token})
        return document(OrderPage(orders, page.next_page_token))

    async def history(self, call: Call) -> Reply:
        """GET /v1/orders/{order_id}/history"""
        if call.caller.scope is not None:
            require_order(call, await self._reader.read(call.tenant_id, call.path["order_id"]))
        request = pb.GetOrderHistoryRequest(tenant_id=call.tenant_id, order_id=call.path["order_id"])
        history = await self.clients.call(self.clients.orders.GetOrderHistory, request)
        return document(OrderHistory([transition_of(one) for one in history.transitions]))

    async def cancel(self, call: Call) -> Reply:
        """POST /v1/orders/{order_id}:cancel"""
        asked = await self.read_optional(call, self._cancel_decoder, CancelOrder())
        etag = call.if_match(required=False)
        request = pb.CancelOrderRequest(
            tenant_id=call.tenant_id,
            order_id=call.path["order_id"],
            request_id=call.idempotency_key(required=False),
            reason=asked.reason,
            etag="" if etag == "*" else etag,
        )
        order = await self.clients.call(self.clients.orders.CancelOrder, request)
        return document(order_of(order), etag=order.etag)

    async def pay(self, call: Call) -> Reply:
        """POST /v1/orders/{order_id}:pay"""
        request_id = call.idempotency_key()
        asked = await self.read(call, self._pay_decoder)
        request = pb.PayOrderRequest(
            tenant_id=call.tenant_id,
            order_id=call.path["order_id"],
            request_id=request_id,
            payment_token=asked.payment_token,
        )
        order = await self.clients.call(self.clients.orders.PayOrder, request)
        return document(order_of(order), etag=order.etag)

    def _wait_s(self, call: Call) -> int:
        """The seconds of `Prefer: wait=N`, at most the setting; 0 where there is none that we understand."""
        found = _WAIT.search(call.header(b"prefer") or "")
        return min(int(found.group(1)), int(self.settings.wait_s_max)) if found else 0

    async def _decided(self, tenant_id: str, placed: pb.Order, wait_s: int, *, is_new: bool) -> pb.Order:
        """The order once it is no longer PENDING, or as it stands when the time is up."""
        until = time.monotonic() + wait_s
        order = placed
        with self._feed.follow(placed.order_id, "wait") as subscription:
            # News of a new order is still to come where events are being read; what should slip through all the same
            # is found by asking after a while.
            if not (is_new and self._feed.is_live):
                await self._feed.live()
                order = await self._reader.read(tenant_id, placed.order_id)
            while order.state == pb.ORDER_STATE_PENDING and not self._feed.closing:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    break
                await self._news(subscription, left_s)
                order = await self._reader.read(tenant_id, placed.order_id)
        return order

    @staticmethod
    async def _news(subscription: Subscription, left_s: float) -> None:
        """Waits for news other than the placement itself, but not so long that a missed event would matter."""
        until = time.monotonic() + min(left_s, WAIT_POLL_S)
        while (rest_s := until - time.monotonic()) > 0:
            news = await subscription.next(rest_s)
            if news is None or news[1] != pb.ORDER_STATE_PENDING:
                return

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        cart = (
            "FIELD_INVALID",
            "CURRENCY_UNKNOWN",
            "QUANTITY_INVALID",
            "TOO_MANY_LINES",
            "SKU_UNKNOWN",
            "PRICE_MISSING",
            "MERCHANTS_MIXED",
            "TOTAL_TOO_LARGE",
        )
        etag = {"ETag": "Changes with the order."}
        return (
            Route(
                "POST",
                "/v1/orders",
                self.place,
                allow("storefront"),
                "orders",
                "Place an order",
                "Answers the order as it was placed (state `pending`); a repetition with the same Idempotency-Key "
                "gives the same bytes again, with `Idempotency-Replayed: true`. With `Prefer: wait=N` the answer "
                "is the order as it stands once it is decided, or after N seconds. An order for a SKU of which nothing "
                "is left for its country may be refused at once as `SOLD_OUT`, or taken and then `rejected`.",
                name="placeOrder",
                body=PlaceOrder,
                body_example=examples.ORDER,
                status=201,
                answer=Order,
                answer_headers={
                    "Location": "The order's path.",
                    "Preference-Applied": "`wait=N` where it was asked for.",
                    "Idempotency-Replayed": "`true` where the key was used before.",
                    **etag,
                },
                idempotency_key="required",
                prefer_wait=True,
                is_open=self._admission.is_open,
                limited_as="orders",
                reasons=(
                    *cart,
                    "TOO_MANY_ITEMS",
                    "REGION_UNKNOWN",
                    "TOTAL_CHANGED",
                    "SOLD_OUT",
                    "REQUEST_ID_REUSED",
                ),
            ),
            Route(
                "GET",
                "/v1/orders",
                self.page,
                allow("storefront", "merchant", "reader"),
                "orders",
                "List orders, newest first",
                query=(
                    params.text("merchant_id", "Only this merchant's.", chars_max=40),
                    params.word("state", "Only in this state.", STATE.number_of),
                    params.text("buyer_ref", "Only this buyer's.", chars_max=128),
                    params.moment("create_time_from", "Only created at or after."),
                    params.moment("create_time_before", "Only created before."),
                    params.fields(Order, "order"),
                    *params.paging(500, 50),
                ),
                answer=OrderPage,
                reasons=("FIELD_REQUIRED", "MERCHANT_NOT_FOUND", "PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
                scopes=MERCHANTS,
            ),
            Route(
                "GET",
                "/v1/orders/{order_id}",
                self.get,
                allow("storefront", "merchant", "reader"),
                "orders",
                "Get an order",
                query=(params.fields(Order, "order"),),
                answer=Order,
                answer_headers=etag,
                conditional=True,
                reasons=("ORDER_NOT_FOUND",),
                scopes=MERCHANTS,
            ),
            Route(
                "GET",
                "/v1/orders/{order_id}/history",
                self.history,
                allow("storefront", "merchant", "reader"),
                "orders",
                "Every transition of an order",
                name="getOrderHistory",
                answer=OrderHistory,
                reasons=("ORDER_NOT_FOUND",),
                scopes=MERCHANTS,
            ),
            Route(
                "POST",
                "/v1/orders/{order_id}:cancel",
                self.cancel,
                allow("storefront"),
                "orders",
                "Cancel an order",
                "At once before it is confirmed; afterwards the warehouse is asked to intercept it (`cancelling`).",
                body=CancelOrder,
                body_required=False,
                body_example={"reason": "changed my mind"},
                answer=Order,
                answer_headers=etag,
                idempotency_key="optional",
                etag="optional",
                reasons=("ORDER_NOT_FOUND", "ORDER_STATE_WRONG", "ETAG_MISMATCH", "REQUEST_ID_REUSED"),
            ),
            Route(
                "POST",
                "/v1/orders/{order_id}:pay",
                self.pay,
                allow("storefront"),
                "orders",
                "Pay an order",
                body=PayOrder,
                body_example={"payment_token": "card_authorised"},
                answer=Order,
                answer_headers=etag,
                idempotency_key="required",
                reasons=(
                    "ORDER_NOT_FOUND",
                    "ORDER_STATE_WRONG",
                    "PAYMENT_DECLINED",
                    "PAYMENT_TOKEN_UNKNOWN",
                    "PAYMENT_IN_PROGRESS",
                    "REQUEST_ID_REUSED",
                ),
            ),
            Route(
                "POST",
                "/v1/quotes",
                self.quote,
                allow("storefront"),
                "orders",
                "What a cart costs now",
                name="quoteCart",
                limited_as="reads",
                body=QuoteCart,
                body_example=examples.QUOTE,
                answer=Quote,
                reasons=cart,
            ),
        )
