"""Contracts <-> documents."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from google.type.money_pb2 import Money as MoneyProto
from hypothesis import given
from hypothesis import strategies as st
from sampan.catalog.v1 import product_service_pb2 as product_pb
from sampan.orders.v1 import order_service_pb2 as order_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb

from services.chassis import money
from services.chassis.rpc import times
from services.gateway.errors import Problem
from services.gateway.routes import examples
from services.gateway.schemas.base import Money
from services.gateway.schemas.catalog import Product
from services.gateway.schemas.orders import Order, PlaceOrder
from services.gateway.schemas.warehouse import Warehouse
from services.gateway.schemas.webhooks import WebhookEndpoint
from services.gateway.translate.catalog import product_of, product_proto
from services.gateway.translate.orders import STATE, TERMS, order_of, place_proto
from services.gateway.translate.values import money_of, money_proto, time_of
from services.gateway.translate.warehouse import warehouse_of, warehouse_proto
from services.gateway.translate.webhooks import endpoint_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD", "USD", "CLP"]))
def test_money_survives_both_ways_exactly(minor: int, code: str) -> None:
    amount = Money(code, money.format_minor(minor, code))
    assert money_of(money_proto(amount, "")) == amount


@pytest.mark.parametrize(
    ("units", "nanos", "code", "text"),
    [
        (12, 500_000_000, "EUR", "12.50"),
        (0, -50_000_000, "EUR", "-0.05"),
        (-3, 0, "EUR", "-3.00"),
        (500, 0, "JPY", "500"),
        (1, 1_000_000, "KWD", "1.001"),
        (7, 0, "???", "7.00"),
    ],
)
def test_money_has_the_currencys_places(units: int, nanos: int, code: str, text: str) -> None:
    assert money_of(MoneyProto(currency_code=code, units=units, nanos=nanos)).amount == text


@pytest.mark.parametrize(
    ("code", "amount", "reason", "pointer"),
    [
        ("EUR", "1.234", "AMOUNT_TOO_PRECISE", "/price/amount"),
        ("EUR", "1,5", "AMOUNT_INVALID", "/price/amount"),
        ("EUR", "NaN", "AMOUNT_INVALID", "/price/amount"),
        ("EUR", "", "AMOUNT_INVALID", "/price/amount"),
        ("EUR", "٣", "AMOUNT_INVALID", "/price/amount"),
        ("eur", "1", "CURRENCY_UNKNOWN", "/price/currency_code"),
    ],
)
def test_a_wrong_amount_names_its_place(code: str, amount: str, reason: str, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        money_proto(Money(code, amount), "/price")
    assert (caught.value.reason, caught.value.places[0].name) == (reason, pointer)


@given(st.datetimes(min_value=EPOCH, max_value=EPOCH.replace(year=2200)))
def test_times_survive_to_the_microsecond(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    order = order_pb.Order(create_time=times.to_proto(moment))
    assert time_of(order, "create_time") == moment
    assert time_of(order, "update_time") is None


def test_enums_are_lower_case_words() -> None:
    assert STATE.word(order_pb.ORDER_STATE_AWAITING_PAYMENT) == "awaiting_payment"
    assert STATE.number("awaiting_payment") == order_pb.ORDER_STATE_AWAITING_PAYMENT
    assert STATE.word(999) == "unspecified"
    assert TERMS.number("unspecified") == 0


def test_a_product_survives_both_ways() -> None:
    product = msgspec.convert(examples.PRODUCT, Product)
    message = product_proto(product)
    message.version, message.etag = 3, "3"
    message.create_time.CopyFrom(times.to_proto(datetime(2026, 1, 2, tzinfo=UTC)))
    found = product_of(product_pb.Product.FromString(message.SerializeToString()))
    assert found.version == 3
    assert msgspec.json.encode(
        product_proto(found).SerializeToString(deterministic=True)
    ) == msgspec.json.encode(product_proto(product).SerializeToString(deterministic=True))
    assert b'"create_time":"2026-01-02T00:00:00Z"' in msgspec.json.encode(found)


def test_what_the_service_sets_is_not_taken_from_the_caller() -> None:
    body = examples.PRODUCT | {"version": 9, "etag": "9", "create_time": "2026-01-01T00:00:00Z"}
    message = product_proto(msgspec.convert(body, Product))
    assert (message.version, message.etag, message.HasField("create_time")) == (0, "", False)


def test_equal_products_give_equal_bytes_whatever_the_order_of_their_maps() -> None:
    first = product_pb.Product(titles={"en": "a", "es": "b", "zh": "c"})
    second = product_pb.Product(titles={"zh": "c", "es": "b", "en": "a"})
    assert msgspec.json.encode(product_of(first)) == msgspec.json.encode(product_of(second))


def test_a_warehouse_survives_both_ways() -> None:
    warehouse = msgspec.convert(examples.WAREHOUSE, Warehouse)
    assert warehouse_of(warehouse_proto(warehouse)) == warehouse


def test_every_field_of_an_order_is_shown() -> None:
    shown = set(Order.__struct_fields__)
    assert {field.name for field in order_pb.Order.DESCRIPTOR.fields} == shown
    placed = {field.name for field in order_pb.PlaceOrderRequest.DESCRIPTOR.fields}
    own = {"tenant_id", "request_id", "traceparent", "payment_window", "sold_out_line"}
    assert placed - own == set(PlaceOrder.__struct_fields__) - {"payment_window_s"}


def test_a_placement_carries_tenant_key_and_trace_from_outside_the_body() -> None:
    asked = msgspec.convert(examples.ORDER, PlaceOrder)
    message = place_proto(asked, tenant_id="demo", request_id="key", traceparent="00-a-b-01")
    assert (message.tenant_id, message.request_id, message.traceparent) == ("demo", "key", "00-a-b-01")
    assert message.payment_window.seconds == 1800
    unset = place_proto(
        msgspec.convert({**examples.ORDER, "payment_window_s": None, "expected_total": None}, PlaceOrder),
        tenant_id="demo",
        request_id="key",
        traceparent="",
    )
    assert not unset.HasField("payment_window")
    assert not unset.HasField("expected_total")


def test_an_empty_order_can_be_shown() -> None:
    shown = order_of(order_pb.Order())
    assert (shown.state, shown.payment_state, shown.lines) == ("unspecified", "none", [])


def test_every_field_of_a_webhook_endpoint_is_shown() -> None:
    told = {field.name for field in endpoint_pb.Endpoint.DESCRIPTOR.fields}
    assert told - {"endpoint_id"} == set(WebhookEndpoint.__struct_fields__) - {"webhook_endpoint_id"}
    until = datetime(2026, 1, 2, tzinfo=UTC)
    paused = endpoint_pb.Endpoint(paused_until_time=times.to_proto(until))
    assert endpoint_of(paused).paused_until_time == until
    assert endpoint_of(endpoint_pb.Endpoint()).paused_until_time is None
