"""Orders: the hot path of the gateway, field by field."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.type.postal_address_pb2 import PostalAddress
from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.errors import at_pointer
from services.gateway.schemas.orders import (
    Address,
    LineRequest,
    Order,
    OrderLine,
    OrderParcel,
    OrderTransition,
    PlaceOrder,
    Quote,
    QuoteCart,
)
from services.gateway.translate.values import Words, money_of, money_proto, time_of

STATE = Words(pb.OrderState, "ORDER_STATE_")
HISTORY_STATE = Words(pb.OrderState, "ORDER_STATE_", unspecified="none")
TERMS = Words(pb.PaymentTerms, "PAYMENT_TERMS_")
PAYMENT_STATE = Words(pb.PaymentState, "PAYMENT_STATE_", unspecified="none")
PARCEL_STATE = Words(pb.OrderParcelState, "ORDER_PARCEL_STATE_")

_ADDRESS_FIELDS = Address.__struct_fields__

FINAL_STATES = frozenset(
    (
        pb.ORDER_STATE_DELIVERED,
        pb.ORDER_STATE_CANCELLED,
        pb.ORDER_STATE_EXPIRED,
        pb.ORDER_STATE_REJECTED,
    )
)


def place_proto(
    asked: PlaceOrder, *, tenant_id: str, request_id: str, traceparent: str
) -> pb.PlaceOrderRequest:
    """An order asked for, as the service takes it."""
    optional: dict[str, Any] = {}
    if asked.payment_window_s is not None:
        optional["payment_window"] = Duration(seconds=asked.payment_window_s)
    if asked.expected_total is not None:
        total = money_proto(asked.expected_total, "/expected_total")
        if total.units < 0 or total.nanos < 0:
            raise at_pointer("FIELD_INVALID", "/expected_total/amount", "a total is not negative")
        optional["expected_total"] = total
    return pb.PlaceOrderRequest(
        tenant_id=tenant_id,
        request_id=request_id,
        buyer_ref=asked.buyer_ref,
        currency_code=asked.currency_code,
        lines=_line_protos(asked.lines),
        ship_to=_address_proto(asked.ship_to),
        payment_terms=TERMS.number(asked.payment_terms),
        language_code=asked.language_code,
        traceparent=traceparent,
        **optional,
    )


def quote_proto(asked: QuoteCart, *, tenant_id: str) -> pb.QuoteOrderRequest:
    """A cart to be priced, as the service takes it."""
    return pb.QuoteOrderRequest(
        tenant_id=tenant_id,
        currency_code=asked.currency_code,
        lines=_line_protos(asked.lines),
        language_code=asked.language_code,
    )


def quote_of(message: pb.QuoteOrderResponse) -> Quote:
    """A quote for the public."""
    return Quote(message.merchant_id, [_line_of(line) for line in message.lines], money_of(message.total))


def order_of(message: pb.Order) -> Order:
    """An order for the public."""
    return Order(
        message.order_id,
        message.merchant_id,
        message.buyer_ref,
        STATE.word(message.state),
        message.version,
        message.etag,
        message.currency_code,
        money_of(message.total),
        [_line_of(line) for line in message.lines],
        _address_of(message.ship_to),
        TERMS.word(message.payment_terms),
        time_of(message, "payment_expire_time"),
        PAYMENT_STATE.word(message.payment_state),
        message.payment_id,
        [_parcel_of(parcel) for parcel in message.parcels],
        message.reason,
        message.sourcing,
        time_of(message, "create_time"),
        time_of(message, "update_time"),
    )


def transition_of(message: pb.OrderTransition) -> OrderTransition:
    """One entry of a history."""
    return OrderTransition(
        message.version,
        HISTORY_STATE.word(message.from_state),
        HISTORY_STATE.word(message.to_state),
        message.cause,
        message.detail,
        time_of(message, "time"),
    )


def _line_protos(lines: list[LineRequest]) -> list[pb.PlaceOrderLine]:
    return [pb.PlaceOrderLine(sku=line.sku, quantity=line.quantity) for line in lines]


def _line_of(line: pb.OrderLine) -> OrderLine:
    return OrderLine(
        line.line_number,
        line.sku,
        line.product_id,
        line.title,
        line.quantity,
        money_of(line.unit_price),
        money_of(line.amount),
        line.hs_code,
        line.origin_region_code,
        line.weight_grams,
    )


def _parcel_of(parcel: pb.OrderParcel) -> OrderParcel:
    return OrderParcel(
        parcel.parcel_id,
        parcel.warehouse_id,
        PARCEL_STATE.word(parcel.state),
        parcel.carrier,
        parcel.tracking_number,
    )


def _address_proto(address: Address) -> PostalAddress:
    # Most of an address is empty: what is not set costs nothing.
    given: dict[str, Any] = {}
    for name in _ADDRESS_FIELDS:
        value = getattr(address, name)
        if value:
            given[name] = value
    return PostalAddress(**given)


def _address_of(address: PostalAddress) -> Address:
    return Address(
        region_code=address.region_code,
        language_code=address.language_code,
        postal_code=address.postal_code,
        sorting_code=address.sorting_code,
        administrative_area=address.administrative_area,
        locality=address.locality,
        sublocality=address.sublocality,
        address_lines=list(address.address_lines),
        recipients=list(address.recipients),
        organization=address.organization,
    )
