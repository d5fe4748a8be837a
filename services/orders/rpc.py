"""OrderService and PaymentService: protobuf <-> domain. No SQL, no rules."""

from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.orders.v1 import order_service_pb2_grpc as pb_grpc
from sampan.orders.v1 import payment_service_pb2 as payment_pb
from sampan.orders.v1 import payment_service_pb2_grpc as payment_grpc

from services.chassis import pages
from services.chassis.batcher import MicroBatcher
from services.chassis.errors import DomainError, FieldInvalid, FieldRequired, TooManyItems
from services.chassis.rpc.status import status_of
from services.orders import measures, wire
from services.orders.commands.backlog import Backlog
from services.orders.commands.cancelling import Cancellation, cancel_order
from services.orders.commands.desk import Desk
from services.orders.commands.notifying import Sent, Sources, notify
from services.orders.commands.paying import PaymentAsked, PaymentPolicy, pay_order
from services.orders.commands.placing import Answer, quote_order
from services.orders.domain.placement import (
    BUYER_REF_CHARS_MAX,
    MERCHANT_ID_CHARS_MAX,
    Placement,
    check_cart,
    check_placement,
    check_tenant,
    check_text,
)
from services.orders.errors import OrderNotFound
from services.orders.store import reading

SERVICES = ["sampan.orders.v1.OrderService", "sampan.orders.v1.PaymentService"]
BATCH_MAX = 256
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 500
WEBHOOK_CHARS_MAX = {"webhook_id": 255, "webhook_timestamp": 2_048, "webhook_signature": 2_048}
NOTIFICATION_BYTES_MAX = 65_536
REPLY_BYTES_MAX = 12_000_000
"""A page ends early where its orders together are larger; gRPC allows 16 MiB."""

Placer = MicroBatcher[Placement, Answer]
Reply = TypeVar("Reply", bound=Message)


class OrderService(pb_grpc.OrderServiceServicer):
    """The calls of one process."""

    def __init__(self, desk: Desk, placer: Placer, payments: PaymentPolicy, backlog: Backlog) -> None:
        self._desk = desk
        self._placer = placer
        self._payments = payments
        self._backlog = backlog

    async def BatchPlaceOrders(
        self, request: pb.BatchPlaceOrdersRequest, context: Any
    ) -> pb.BatchPlaceOrdersResponse:
        """Checks each request; what passes joins the next transaction."""
        if not request.requests:
            raise FieldRequired("requests")
        if len(request.requests) > BATCH_MAX:
            raise TooManyItems("requests", BATCH_MAX)
        self._backlog.check(len(request.requests))
        outcomes: list[Answer | DomainError | None] = []
        checked: list[Placement] = []
        for item in request.requests:
            try:
                placement = wire.placement_of(item)
                check_placement(placement)
            except DomainError as error:
                measures.PLACED[error.reason].inc()
                outcomes.append(error)
            else:
                checked.append(placement)
                outcomes.append(None)
        answers = iter(await self._placer.submit_many(checked))
        reply = pb.BatchPlaceOrdersResponse()
        for outcome in outcomes:
            _add_result(reply, outcome if outcome is not None else next(answers))
        return reply

    async def QuoteOrder(self, request: pb.QuoteOrderRequest, context: Any) -> pb.QuoteOrderResponse:
        """Prices a cart."""
        cart = wire.cart_of(request)
        check_cart(cart)
        return wire.quote_message(await quote_order(self._desk.db, cart), cart.currency_code)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.Order:
        """Returns one order."""
        return await self._order(request.tenant_id, request.order_id)

    async def BatchGetOrders(
        self, request: pb.BatchGetOrdersRequest, context: Any
    ) -> pb.BatchGetOrdersResponse:
        """Returns several orders, by one reading of the database."""
        if not request.requests:
            raise FieldRequired("requests")
        if len(request.requests) > BATCH_MAX:
            raise TooManyItems("requests", BATCH_MAX)
        keys: list[tuple[str, UUID] | DomainError] = []
        for item in request.requests:
            try:
                check_tenant(item.tenant_id)
                keys.append((item.tenant_id, wire.uuid_of(item.order_id)))
            except DomainError as error:
                keys.append(error)
        async with self._desk.db.connection() as connection:
            views = await reading.load_orders(
                connection, {key for key in keys if not isinstance(key, DomainError)}
            )
        reply = pb.BatchGetOrdersResponse()
        room = REPLY_BYTES_MAX
        for key in keys:
            result = reply.results.add()
            if isinstance(key, DomainError):
                result.error.CopyFrom(status_of(key))
            elif (view := views.get(key)) is None:
                result.error.CopyFrom(status_of(OrderNotFound()))
            else:
                message = wire.order_message(view)
                room -= message.ByteSize()
                if room >= 0:
                    result.order.CopyFrom(message)
        return reply

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Any) -> pb.ListOrdersResponse:
        """Returns a page of orders."""
        wanted = _filter_of(request)
        size = pages.page_size(request.page_size, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)
        bound_to = _bound_to(wanted)
        after = _position_of(pages.decode(bound_to, request.page_token))
        async with self._desk.db.connection() as connection:
            views, following = await reading.load_page(connection, wanted, after, size)
        reply = pb.ListOrdersResponse()
        room = REPLY_BYTES_MAX
        for place, view in enumerate(views):
            message = wire.order_message(view)
            room -= message.ByteSize()
            if room < 0 and place:
                following = reading.position_of(views[place - 1])
                break
            reply.orders.append(message)
        reply.next_page_token = _token_of(bound_to, following) if following is not None else ""
        return reply

    async def GetOrderHistory(self, request: pb.GetOrderHistoryRequest, context: Any) -> pb.OrderHistory:
        """Returns every transition of an order."""
        check_tenant(request.tenant_id)
        order_id = wire.uuid_of(request.order_id)
        async with self._desk.db.connection() as connection:
            history = await reading.load_history(connection, request.tenant_id, order_id)
        if not history:
            raise OrderNotFound
        return wire.history_message(history)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Any) -> pb.Order:
        """Cancels an order and returns it as it is then."""
        check_tenant(request.tenant_id)
        order_id = wire.uuid_of(request.order_id)
        await cancel_order(
            self._desk,
            Cancellation(request.tenant_id, order_id, request.request_id, request.reason, request.etag),
        )
        return await self._order(request.tenant_id, request.order_id)

    async def PayOrder(self, request: pb.PayOrderRequest, context: Any) -> pb.Order:
        """Pays an order and returns it as it is then."""
        check_tenant(request.tenant_id)
        order_id = wire.uuid_of(request.order_id)
        await pay_order(
            self._desk,
            self._payments,
            PaymentAsked(request.tenant_id, order_id, request.request_id, request.payment_token),
        )
        return await self._order(request.tenant_id, request.order_id)

    async def _order(self, tenant_id: str, order_id: str) -> pb.Order:
        check_tenant(tenant_id)
        async with self._desk.db.connection() as connection:
            view = await reading.load_order(connection, tenant_id, wire.uuid_of(order_id))
        if view is None:
            raise OrderNotFound
        return wire.order_message(view)


class PaymentService(payment_grpc.PaymentServiceServicer):
    """What providers say."""

    def __init__(self, desk: Desk, sources: Sources) -> None:
        self._desk = desk
        self._sources = sources

    async def NotifyPayment(
        self, request: payment_pb.NotifyPaymentRequest, context: Any
    ) -> payment_pb.NotifyPaymentResponse:
        """Takes a notification."""
        for name, chars_max in WEBHOOK_CHARS_MAX.items():
            value: str = getattr(request, name)
            if not value:
                raise FieldRequired(name)
            if not value.isascii() or not value.isprintable() or len(value) > chars_max:
                raise FieldInvalid(name, f"at most {chars_max:,} printable ASCII characters")
        if len(request.body) > NOTIFICATION_BYTES_MAX:
            raise FieldInvalid("body", f"at most {NOTIFICATION_BYTES_MAX:,} bytes")
        sent = Sent(request.webhook_id, request.webhook_timestamp, request.webhook_signature, request.body)
        await notify(self._desk, self._sources, request.provider, sent)
        return payment_pb.NotifyPaymentResponse()


def _add_result(reply: pb.BatchPlaceOrdersResponse, outcome: Answer | DomainError) -> None:
    result = reply.results.add()
    if isinstance(outcome, DomainError):
        result.error.CopyFrom(status_of(outcome))
    else:
        result.ParseFromString(outcome.response)
        result.replayed = outcome.replayed


def _filter_of(request: pb.ListOrdersRequest) -> reading.Filter:
    check_tenant(request.tenant_id)
    check_text("buyer_ref", request.buyer_ref, BUYER_REF_CHARS_MAX)
    check_text("merchant_id", request.merchant_id, MERCHANT_ID_CHARS_MAX)
    return reading.Filter(
        request.tenant_id,
        request.buyer_ref,
        wire.state_of(request.state),
        wire.datetime_of(request.create_time_from, "create_time_from")
        if request.HasField("create_time_from")
        else None,
        wire.datetime_of(request.create_time_before, "create_time_before")
        if request.HasField("create_time_before")
        else None,
        request.merchant_id,
    )


def _bound_to(wanted: reading.Filter) -> bytes:
    """What a page token is bound to. Without a merchant as the release before binds it, whose tokens may come yet."""
    parts = wanted if wanted.merchant_id else wanted[:-1]
    return pages.filter_hash("orders.list", *parts)


def _token_of(bound_to: bytes, position: reading.Position) -> str:
    return pages.encode(bound_to, [position.create_time.isoformat(), str(position.order_id)])


def _position_of(cursor: list[str | int] | None) -> reading.Position | None:
    if cursor is None:
        return None
    try:
        moment, order_id = map(str, cursor)
        create_time = datetime.fromisoformat(moment).astimezone(UTC)
        return reading.Position(create_time, wire.uuid_of(order_id))
    except (ValueError, OverflowError, DomainError):
        raise FieldInvalid("page_token", "one of ours") from None
