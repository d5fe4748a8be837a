"""A traced order is one trace in a collector, through every service and topic; a collector that is gone harms none."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from deploy.local.settings import SERVICES
from tests.collector import Collector, Told
from tests.e2e.conftest import Document, Shop, key, order_body

pytestmark = pytest.mark.stack

ORDERS, FULFILMENTS = "sampan.orders.orders.v1", "sampan.warehouse.fulfilments.v1"
PLACE = "sampan.orders.v1.OrderService/BatchPlaceOrders"
CALLER_SPAN = "00f067aa0ba902b7"
RECIPIENT, STREET = "Quillifer Zebulon", "Calle de Zebulon 9"


@pytest.fixture(scope="module")
def collector(shop: Shop) -> Iterator[Collector]:
    """Gets the spans of all services, which are started anew for it."""
    collector = Collector()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "NO_PROXY": "*",
    }
    before = {name: shop.stack.services[name].environment for name in SERVICES}
    restart(shop, {name: environment | variables for name, environment in before.items()})
    yield collector
    collector.close()
    restart(shop, before)


def restart(shop: Shop, environments: dict[str, dict[str, str]]) -> None:
    services = [shop.stack.services[name] for name in SERVICES]
    for service in services:
        service.stop()
    for service in services:
        service.environment = environments[service.name]
        service.start()
    for service in services:
        service.wait_ready()


def place(shop: Shop, sku: str, *, flags: str) -> tuple[str, Document]:
    """An order that is sent off at once, and the id of its trace."""
    trace_id = uuid4().hex
    body = order_body((sku, 1), payment_terms="prepaid")
    body["ship_to"] |= {"recipients": [RECIPIENT], "address_lines": [STREET]}
    order = shop.place(body, headers=key() | {"traceparent": f"00-{trace_id}-{CALLER_SPAN}-{flags}"})
    return trace_id, order


def one(spans: list[Told], service: str, name: str, parent: Told | None = None) -> Told:
    """The only span of that name, or the only one of them with that parent."""
    named = [told for told in spans if (told.service, told.span.name) == (service, name)]
    found = [told for told in named if parent is None or told.parent_id == parent.span_id]
    assert len(found) == 1, "\n".join(
        [f"{service}, {name}, below {parent and parent.span_id}", *map(str, spans)]
    )
    return found[0]


def test_an_order_is_one_trace_through_all_services(shop: Shop, collector: Collector) -> None:
    sku = shop.new_sku()
    unsampled, _ = place(shop, sku, flags="00")
    trace_id, order = place(shop, sku, flags="01")
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])

    def is_whole(spans: list[Told]) -> bool:
        """The warehouse's second answer, the parcels, has come back to orders; and each service has told its part."""
        mine = [told for told in spans if told.trace_id == trace_id]
        # Webhooks hears of them as well.
        answers = sum((told.service, told.span.name) == ("orders", f"process {FULFILMENTS}") for told in mine)
        unknown = {told.parent_id for told in mine} - {told.span_id for told in mine}
        return answers >= 2 and unknown == {CALLER_SPAN}

    spans = [told for told in collector.wait_for(is_whole) if told.trace_id == trace_id]
    request = one(spans, "gateway", "POST /v1/orders")
    assert request.parent_id == CALLER_SPAN
    assert request.attributes["http.response.status_code"] == 201
    call = one(spans, "gateway", PLACE)
    assert call.parent_id == request.span_id
    assert call.attributes["rpc.response.status_code"] == "OK"
    served = one(spans, "orders", PLACE)
    assert served.parent_id == call.span_id
    stored = one(spans, "orders", "place orders")
    assert stored.parent_id == served.span_id
    assert stored.attributes["db.system.name"] == "postgresql"
    placed = one(spans, "orders", f"send {ORDERS}", served)
    taken = one(spans, "warehouse", f"process {ORDERS}", placed)
    assert taken.attributes["messaging.consumer.group.name"] == "warehouse.orders"
    reserved = one(spans, "warehouse", f"send {FULFILMENTS}", taken)
    heard = one(spans, "orders", f"process {FULFILMENTS}", reserved)
    confirmed = one(spans, "orders", f"send {ORDERS}", heard)
    posted = one(spans, "warehouse", f"process {ORDERS}", confirmed)
    parcels = one(spans, "warehouse", f"send {FULFILMENTS}", posted)
    one(spans, "orders", f"process {FULFILMENTS}", parcels)
    known = {told.span_id for told in spans}
    assert {told.parent_id for told in spans} - known == {CALLER_SPAN}
    assert unsampled not in {told.trace_id for told in collector.spans}


def test_a_trace_that_begins_at_the_gateway_has_a_first_span(shop: Shop, collector: Collector) -> None:
    gateway = shop.stack.services["gateway"]
    before = gateway.environment
    gateway.stop()
    gateway.environment = before | {"TRACE_SAMPLE_RATIO": "1"}
    gateway.start()
    gateway.wait_ready()
    try:
        answer = shop.storefront.get("/v1/merchants")
    finally:
        gateway.stop()
        gateway.environment = before
        gateway.start()
        gateway.wait_ready()
    trace_id = answer.headers["traceparent"][3:35]
    spans = collector.wait_for(
        lambda spans: any(told.trace_id == trace_id and not told.parent_id for told in spans)
    )
    [first] = [told for told in spans if told.trace_id == trace_id and not told.parent_id]
    assert (first.service, first.span.name) == ("gateway", "GET /v1/merchants")
    assert first.span_id == answer.headers["traceparent"][36:52]


def test_no_span_tells_who_ordered(shop: Shop, collector: Collector) -> None:
    assert collector.bodies
    for word in (RECIPIENT, STREET):
        assert not [body for body in collector.bodies if word.encode() in body]


def test_orders_go_on_when_the_collector_is_gone(shop: Shop, collector: Collector) -> None:
    sku = shop.new_sku()
    collector.close()
    _, order = place(shop, sku, flags="01")
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    lost = 'sampan_trace_spans_total{outcome="lost"}'
    shop.eventually(lambda: lost in shop.stack.services["gateway"].metrics())
