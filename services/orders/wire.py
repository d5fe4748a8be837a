"""Protobuf <-> domain, for the RPCs, the stored answers and the events. No rules beyond what parsing needs."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from google.type.postal_address_pb2 import PostalAddress
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import money, trace
from services.chassis.errors import DomainError, FieldInvalid, FieldRequired, InvalidArgument
from services.chassis.rpc import times
from services.chassis.rpc.money import from_proto
from services.chassis.rpc.status import status_of
from services.orders.domain.order import HistoryEntry, OrderView, Parcel
from services.orders.domain.payment import PaymentState
from services.orders.domain.placement import (
    DEFAULT_LANGUAGE,
    LINES_MAX,
    Address,
    Cart,
    PaymentTerms,
    Placement,
)
from services.orders.domain.pricing import PricedCart, PricedLine
from services.orders.domain.states import OrderState
from services.orders.errors import OrderNotFound, TooManyLines

DIGEST_BYTES = 16
TIMESTAMP_SECONDS_MIN = 0
TIMESTAMP_SECONDS_MAX = 253_402_300_799

_STATE_NUMBERS = {state: pb.OrderState.Value(f"ORDER_STATE_{state}") for state in OrderState}
_STATES: dict[int, OrderState] = {number: state for state, number in _STATE_NUMBERS.items()}
_TERMS_NUMBERS = {terms: pb.PaymentTerms.Value(f"PAYMENT_TERMS_{terms}") for terms in PaymentTerms}
_TERMS: dict[int, PaymentTerms] = {number: terms for terms, number in _TERMS_NUMBERS.items()}
_PAYMENT_NUMBERS = {
    state: pb.PAYMENT_STATE_UNSPECIFIED
    if state is PaymentState.NONE
    else pb.PaymentState.Value(f"PAYMENT_STATE_{state}")
    for state in PaymentState
}
_ADDRESS_FIELDS = (
    "region_code",
    "language_code",
    "postal_code",
    "sorting_code",
    "administrative_area",
    "locality",
    "sublocality",
    "organization",
)


def digest_of(*parts: str) -> bytes:
    """Stands for the content of a request that is not kept; the parts cannot be confused with each other."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


def placement_of(request: pb.PlaceOrderRequest) -> Placement:
    """What a request asks for; raises InvalidArgument for what cannot even be expressed."""
    traceparent = request.traceparent or None
    if traceparent is not None:
        request.ClearField("traceparent")
        # The call may carry many orders; the one whose trace it is in goes on from the call's own span.
        known = traceparent if trace.parse(traceparent) else None
        traceparent = known and trace.innermost(known, trace.current_traceparent())
    sold_out_line = request.sold_out_line
    if sold_out_line:
        request.ClearField("sold_out_line")
        if not 0 < sold_out_line <= len(request.lines):
            raise FieldInvalid("sold_out_line", "the number of a line")
    terms = _TERMS.get(request.payment_terms)
    if terms is None:
        raise FieldRequired("payment_terms")
    window = request.payment_window
    if window.nanos:
        raise FieldInvalid("payment_window", "whole seconds")
    if request.HasField("payment_window") and not window.seconds:
        raise FieldInvalid("payment_window", "60 seconds to 30 days")
    return Placement(
        request.request_id,
        blake2b(request.SerializeToString(deterministic=True), digest_size=DIGEST_BYTES).digest(),
        cart_of(request),
        request.buyer_ref,
        _address_of(request.ship_to),
        terms,
        window.seconds,
        _expected_total(request.expected_total) if request.HasField("expected_total") else None,
        traceparent,
        sold_out_line,
    )


def cart_of(request: pb.PlaceOrderRequest | pb.QuoteOrderRequest) -> Cart:
    """The part of a request that decides its price."""
    if len(request.lines) > LINES_MAX:
        raise TooManyLines(LINES_MAX)
    return Cart(
        request.tenant_id,
        request.currency_code,
        [(line.sku, line.quantity) for line in request.lines],
        request.language_code or DEFAULT_LANGUAGE,
    )


def _expected_total(message: Money) -> tuple[int, str]:
    try:
        return from_proto(message)
    except InvalidArgument as error:
        if error.reason == "CURRENCY_UNKNOWN":
            raise InvalidArgument(error.reason, error.message, field="expected_total.currency_code") from None
        raise FieldInvalid("expected_total", "an exact amount of its currency") from None


def _address_of(message: PostalAddress) -> Address:
    return Address(
        message.region_code,
        message.language_code,
        message.postal_code,
        message.sorting_code,
        message.administrative_area,
        message.locality,
        message.sublocality,
        tuple(message.address_lines),
        tuple(message.recipients),
        message.organization,
    )


def uuid_of(text: str) -> UUID:
    """An order's id; what is no UUID names no order."""
    if not text:
        raise FieldRequired("order_id")
    try:
        return UUID(text)
    except ValueError:
        raise OrderNotFound from None


def state_of(number: int) -> OrderState | None:
    """The state asked for; None for all."""
    if number == pb.ORDER_STATE_UNSPECIFIED:
        return None
    if number not in _STATES:
        raise FieldInvalid("state", "a known state")
    return _STATES[number]


def datetime_of(message: Timestamp, field: str) -> datetime:
    """A time from a request, to the microsecond; raises FieldInvalid outside of 1970 to 9999."""
    if (
        not TIMESTAMP_SECONDS_MIN <= message.seconds <= TIMESTAMP_SECONDS_MAX
        or not 0 <= message.nanos < 10**9
    ):
        raise FieldInvalid(field, "a time from 1970 to 9999")
    return times.from_proto(message)


def order_message(view: OrderView) -> pb.Order:
    """An order as it is told to callers."""
    order = view.order
    currency_code = order.currency_code
    message = pb.Order(
        order_id=str(order.order_id),
        merchant_id=order.merchant_id,
        buyer_ref=view.buyer_ref,
        state=_STATE_NUMBERS[order.state],
        version=order.version,
        etag=order.etag,
        currency_code=currency_code,
        total=_money(order.total_minor, currency_code),
        lines=line_messages(view.lines, currency_code),
        ship_to=_address_message(view.ship_to),
        payment_terms=_TERMS_NUMBERS[order.payment_terms],
        payment_state=_PAYMENT_NUMBERS[order.payment_state],
        payment_id=str(order.payment_id) if order.payment_id is not None else "",
        reason=order.reason,
        sourcing=order.sourcing,
        create_time=times.to_proto(view.create_time),
        update_time=times.to_proto(view.update_time),
    )
    if order.payment_expire_time is not None:
        times.write(message.payment_expire_time, order.payment_expire_time)
    for parcel in view.parcels:
        message.parcels.append(_parcel_message(parcel))
    return message


def line_messages(lines: Sequence[PricedLine], currency_code: str) -> list[pb.OrderLine]:
    """Lines as they are told to callers."""
    scale = 10 ** money.minor_digits(currency_code)
    nanos = money.NANOS_PER_UNIT // scale
    messages = []
    for line in lines:
        price, price_rest = divmod(line.unit_price_minor, scale)
        amount, amount_rest = divmod(line.amount_minor, scale)
        messages.append(
            pb.OrderLine(
                line_number=line.line_number,
                sku=line.sku,
                product_id=line.product_id,
                title=line.title,
                quantity=line.quantity,
                unit_price=Money(currency_code=currency_code, units=price, nanos=price_rest * nanos),
                amount=Money(currency_code=currency_code, units=amount, nanos=amount_rest * nanos),
                hs_code=line.hs_code,
                origin_region_code=line.origin_region_code,
                weight_grams=line.weight_grams,
            )
        )
    return messages


def quote_message(priced: PricedCart, currency_code: str) -> pb.QuoteOrderResponse:
    """A price as it is told to callers."""
    return pb.QuoteOrderResponse(
        merchant_id=priced.merchant_id,
        lines=line_messages(priced.lines, currency_code),
        total=_money(priced.total_minor, currency_code),
    )


def history_message(entries: Sequence[HistoryEntry]) -> pb.OrderHistory:
    """A history as it is told to callers."""
    return pb.OrderHistory(
        transitions=[
            pb.OrderTransition(
                version=entry.version,
                from_state=_STATE_NUMBERS[entry.from_state]
                if entry.from_state is not None
                else pb.ORDER_STATE_UNSPECIFIED,
                to_state=_STATE_NUMBERS[entry.to_state],
                cause=entry.cause,
                detail=entry.detail,
                time=times.to_proto(entry.time),
            )
            for entry in entries
        ]
    )


def placed_result(view: OrderView) -> bytes:
    """The answer to a placement, as it is stored."""
    return pb.PlaceOrderResult(order=order_message(view)).SerializeToString()


def refused_result(error: DomainError) -> bytes:
    """The refusal of a placement, as it is stored."""
    return pb.PlaceOrderResult(error=status_of(error)).SerializeToString()


def state_number(state: OrderState) -> pb.OrderState.ValueType:
    """A state's number in the contract."""
    return _STATE_NUMBERS[state]


def _money(minor: int, currency_code: str) -> Money:
    units, nanos = money.units_and_nanos(minor, currency_code)
    return Money(currency_code=currency_code, units=units, nanos=nanos)


def _address_message(address: Address) -> PostalAddress:
    message = PostalAddress(address_lines=address.address_lines, recipients=address.recipients)
    for name in _ADDRESS_FIELDS:
        text = getattr(address, name)
        if text:
            setattr(message, name, text)
    return message


def _parcel_message(parcel: Parcel) -> pb.OrderParcel:
    return pb.OrderParcel(
        parcel_id=str(parcel.parcel_id),
        warehouse_id=parcel.warehouse_id,
        state=pb.OrderParcelState.Value(f"ORDER_PARCEL_STATE_{parcel.state}"),
        carrier=parcel.carrier,
        tracking_number=parcel.tracking_number,
    )
