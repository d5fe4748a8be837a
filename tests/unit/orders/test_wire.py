"""Protobuf <-> domain: digests, times, addresses, and the settings' table."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.postal_address_pb2 import PostalAddress
from hypothesis import given
from hypothesis import strategies as st
from sampan.orders.v1 import error_reason_pb2, events_pb2
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import signatures
from services.chassis.errors import FieldInvalid, FieldRequired, RegionUnknown, RequestIdReused, TooManyItems
from services.chassis.rpc import times
from services.orders import errors, published, wire
from services.orders.domain.changes import EventName, OrderEvent
from services.orders.domain.placement import PaymentTerms
from services.orders.domain.states import OrderState
from services.orders.payments.sandbox import card_of

REQUEST = pb.PlaceOrderRequest(
    tenant_id="fair",
    request_id="r",
    buyer_ref="b",
    currency_code="EUR",
    lines=[pb.PlaceOrderLine(sku="A", quantity=1)],
    ship_to=PostalAddress(region_code="ES", address_lines=["one", "two"], organization="org"),
    payment_terms=pb.PAYMENT_TERMS_PREPAID,
)


def copy_of(**changed: object) -> pb.PlaceOrderRequest:
    """The request with some fields changed."""
    request = pb.PlaceOrderRequest()
    request.CopyFrom(REQUEST)
    request.MergeFrom(pb.PlaceOrderRequest(**changed))  # type: ignore[arg-type]
    return request


def test_the_digest_covers_the_content_and_not_the_trace() -> None:
    digest = wire.placement_of(copy_of()).digest
    traced = wire.placement_of(copy_of(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    assert traced.digest == digest
    assert traced.traceparent is not None
    for changed in (
        copy_of(buyer_ref="c"),
        copy_of(language_code="zh"),
        copy_of(lines=[pb.PlaceOrderLine(sku="A", quantity=1)]),
        copy_of(ship_to=PostalAddress(address_lines=["three"])),
    ):
        assert wire.placement_of(changed).digest != digest


def test_a_traceparent_that_is_none_is_dropped() -> None:
    assert wire.placement_of(copy_of(traceparent="rubbish")).traceparent is None


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digests_of_parts_do_not_collide(first: list[str], second: list[str]) -> None:
    assert (wire.digest_of(*first) == wire.digest_of(*second)) == (first == second)


@given(st.integers(0, 253_370_764_800_000_000))
def test_times_survive(microseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert wire.datetime_of(times.to_proto(moment), "time") == moment


@pytest.mark.parametrize(
    "message", [Timestamp(seconds=-1), Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**62)]
)
def test_times_out_of_range(message: Timestamp) -> None:
    with pytest.raises(FieldInvalid):
        wire.datetime_of(message, "create_time_from")


def test_addresses_are_taken_over_whole() -> None:
    placement = wire.placement_of(copy_of())
    assert placement.ship_to.address_lines == ("one", "two")
    assert placement.ship_to.organization == "org"
    assert placement.payment_terms is PaymentTerms.PREPAID


def test_every_event_begins_with_its_head() -> None:
    for name in EventName:
        event = OrderEvent(name, wire.uuid_of("01890000-0000-7000-8000-000000000001"), "t", "m", 3,
                           OrderState.CONFIRMED, "why", None)  # fmt: skip
        (message,) = published.order_events([event])
        head = events_pb2.OrderEventHead.FromString(message.payload)
        assert (head.tenant_id, head.merchant_id, head.version) == ("t", "m", 3)
        assert message.type == f"sampan.orders.v1.{name}"


def test_reasons_that_callers_see_are_in_the_contract() -> None:
    known = {
        value.name.removeprefix("ERROR_REASON_") for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
    }
    seen = {
        FieldRequired("f"),
        FieldInvalid("f", "r"),
        RegionUnknown("f"),
        errors.QuantityInvalid("f", 1),
        errors.TooManyLines(1),
        TooManyItems("f", 1),
        errors.PaymentTokenUnknown(),
        errors.OrderNotFound(),
        errors.PaymentNotFound(),
        errors.PaymentProviderNotFound(),
        errors.NotificationMalformed("f"),
        errors.NotificationIdReused(),
        errors.PaymentMoveIllegal("s", "c"),
        signatures.SignatureInvalid(),
        signatures.SignatureTimeWrong(),
        errors.SkuUnknown(0, "s"),
        errors.PriceMissing(0, "s", "EUR"),
        errors.MerchantsMixed(0, ["a"]),
        errors.TotalChanged("1", "EUR"),
        errors.TotalTooLarge(0),
        RequestIdReused(),
        errors.OrderStateWrong("s", "c"),
        errors.PaymentDeclined("d"),
        errors.EtagMismatch(),
        errors.PaymentInProgress(),
    }
    assert {error.reason for error in seen} <= known


@pytest.mark.parametrize(
    "token", ["", "card", "card_late_0", "card_late_86401", "card_late_x", "CARD_AUTHORISED"]
)
def test_other_tokens_are_unknown(token: str) -> None:
    with pytest.raises(errors.PaymentTokenUnknown):
        card_of(token)
