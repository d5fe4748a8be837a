"""Placing orders over gRPC and PostgreSQL: what is stored, what is refused, what a repetition gets."""

import asyncio
from typing import Any

import pytest
import structlog
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money
from google.type.postal_address_pb2 import PostalAddress
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis import pg_errors
from services.chassis.errors import DomainError
from tests.integration.orders.messages import MERCHANT, TENANT, euros, product_of, request_of
from tests.integration.orders.running import refusal, refused, running

pytestmark = pytest.mark.postgres


async def test_an_order_is_priced_from_the_catalog_and_told_of(dsn: str) -> None:
    async with running(dsn) as orders:
        order = await orders.placed(language_code="zh-CN", payment_terms=pb.PAYMENT_TERMS_PAY_LATER)
        assert order.state == pb.ORDER_STATE_PENDING
        assert (order.version, order.etag, order.merchant_id) == (1, "1", MERCHANT)
        assert order.total == euros("378.99")
        first, second = order.lines
        assert (first.line_number, first.sku, first.quantity, first.title) == (1, "WIG-18", 2, "波波头假发")
        assert (first.unit_price, first.amount) == (euros("119.50"), euros("239"))
        assert (first.hs_code, first.origin_region_code, first.weight_grams) == ("670420", "CN", 320)
        assert (second.line_number, second.amount) == (2, euros("139.99"))
        assert order.ship_to.recipients == ["José Núñez"]
        window = order.payment_expire_time.ToDatetime() - order.create_time.ToDatetime()
        assert window.total_seconds() == 1_800
        assert await orders.get(order) == order

        ((name, event),) = await orders.outbox()
        assert name == "OrderPlaced"
        assert isinstance(event, events_pb2.OrderPlaced)
        assert [(line.sku, line.quantity) for line in event.lines] == [("WIG-18", 2), ("WIG-22", 1)]
        hold = event.hold_expire_time.ToDatetime() - order.payment_expire_time.ToDatetime()
        assert (event.region_code, hold.total_seconds()) == ("ES", 900)
        for personal in ("Núñez", "Calle", "28013", "buyer-1"):
            assert personal.encode() not in event.SerializeToString()
        assert await orders.history(order) == [(1, "PENDING", "PlaceOrder")]


async def test_currencies_without_minor_units_and_free_orders(dsn: str) -> None:
    async with running(dsn) as orders:
        yen = await orders.placed(lines={"WIG-18": 3}, currency_code="JPY")
        assert yen.total == Money(currency_code="JPY", units=59_400)
        free = await orders.placed(lines={"SAMPLE": 2})
        assert free.total == Money(currency_code="EUR")


async def test_a_repetition_gets_the_stored_answer_however_far_the_order_has_come(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of()
        (first,) = await orders.place(request)
        await orders.reserved(first.order)
        request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        (second,) = await orders.place(request)
        assert (first.replayed, second.replayed) == (False, True)
        assert second.order.SerializeToString() == first.order.SerializeToString()
        assert await orders.rows_in("orders") == 1


async def test_the_same_key_with_other_content_is_refused(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of()
        await orders.place(request)
        request.buyer_ref = "somebody else"
        (result,) = await orders.place(request)
        error = refusal(result)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
        # Another tenant's keys are its own.
        await orders.offer(product_of("bob-wig", {"WIG-18": "1", "WIG-22": "1"}), tenant_id="other")
        request.tenant_id = "other"
        (result,) = await orders.place(request)
        assert result.order.total == euros("3")


async def test_a_refusal_is_stored_too(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of(lines={"LATER": 1})
        (first,) = await orders.place(request)
        assert refusal(first).reason == "SKU_UNKNOWN"
        await orders.offer(product_of("later", {"LATER": "5"}))
        (second,) = await orders.place(request)
        assert second.replayed
        assert second.error == first.error
        assert await orders.rows_in("orders") == 0
        assert await orders.rows_in("outbox") == 0


async def test_equal_keys_in_one_batch(dsn: str) -> None:
    async with running(dsn) as orders:
        request, other = request_of(request_id="same"), request_of(request_id="same", buyer_ref="other")
        results = await orders.place(request, other, request, request_of())
        assert [result.replayed for result in results] == [False, False, True, False]
        assert results[2].order == results[0].order
        assert refusal(results[1]).reason == "REQUEST_ID_REUSED"
        assert await orders.rows_in("orders") == 2


async def test_the_same_key_from_many_callers_at_once_makes_one_order(dsn: str) -> None:
    async with running(dsn) as one, running(dsn) as two:
        requests = [request_of() for _ in range(20)]
        batches = await asyncio.gather(
            *(
                replica.place(*(requests if turn % 2 else reversed(requests)))
                for turn in range(8)
                for replica in (one, two)
            )
        )
        made = [result for batch in batches for result in batch if not result.replayed]
        assert len(made) == 20
        assert {result.order.order_id for batch in batches for result in batch} == {
            result.order.order_id for result in made
        }
        assert await one.rows_in("orders") == 20
        assert await one.rows_in("order_lines") == 40
        assert await one.rows_in("outbox") == 20


async def test_a_batch_with_mixed_outcomes(dsn: str) -> None:
    async with running(dsn) as orders:
        results = await orders.place(
            request_of(),
            request_of(lines={"NOSUCH": 1}),
            request_of(lines={"WIG-22": 1}, currency_code="JPY"),
            request_of(lines={"WIG-18": 1, "FRIDGE": 1}),
            request_of(lines={"DRAFT": 1}),
            request_of(expected_total=euros("378.98")),
            request_of(expected_total=euros("378.99")),
            request_of(buyer_ref=""),
            request_of(lines={"WIG-18": 0}),
        )
        outcomes = [refusal(r).reason if r.HasField("error") else "" for r in results]
        assert outcomes == [
            "",
            "SKU_UNKNOWN",
            "PRICE_MISSING",
            "MERCHANTS_MIXED",
            "SKU_UNKNOWN",
            "TOTAL_CHANGED",
            "",
            "FIELD_REQUIRED",
            "QUANTITY_INVALID",
        ]
        assert refusal(results[1]).metadata == {"sku": "NOSUCH", "field": "lines[0].sku"}
        assert refusal(results[3]).metadata["merchant_ids"] == "guangzhou-cold,xuchang-hair"
        changed = refusal(results[5]).metadata
        assert (changed["total"], changed["currency_code"]) == ("378.99", "EUR")
        assert await orders.rows_in("orders") == 2
        # What is wrong whatever the catalog says is not even remembered.
        assert await orders.rows_in("request_key") == 7


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"tenant_id": ""}, "FIELD_REQUIRED", "tenant_id"),
    ({"tenant_id": "No Such"}, "FIELD_INVALID", "tenant_id"),
    ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
    ({"request_id": "ключ"}, "FIELD_INVALID", "request_id"),
    ({"request_id": "k" * 256}, "FIELD_INVALID", "request_id"),
    ({"buyer_ref": "b" * 129}, "FIELD_INVALID", "buyer_ref"),
    ({"buyer_ref": "a\0b"}, "FIELD_INVALID", "buyer_ref"),
    ({"currency_code": ""}, "FIELD_REQUIRED", "currency_code"),
    ({"currency_code": "eur"}, "CURRENCY_UNKNOWN", "currency_code"),
    ({"currency_code": "XAU"}, "CURRENCY_UNKNOWN", "currency_code"),
    ({"lines": {}}, "FIELD_REQUIRED", "lines"),
    ({"lines": {f"S{n}": 1 for n in range(2_001)}}, "TOO_MANY_LINES", "lines"),
    ({"lines": {"WIG-18": 1, "WIG-22": -1}}, "QUANTITY_INVALID", "lines[1].quantity"),
    ({"lines": {"WIG-18": 1_000_001}}, "QUANTITY_INVALID", "lines[0].quantity"),
    ({"lines": {"": 1}}, "FIELD_REQUIRED", "lines[0].sku"),
    ({"lines": {"S" * 65: 1}}, "FIELD_INVALID", "lines[0].sku"),
    ({"lines": {"WIG\0": 1}}, "FIELD_INVALID", "lines[0].sku"),
    ({"ship_to": None}, "FIELD_REQUIRED", "ship_to.region_code"),
    ({"ship_to": PostalAddress(region_code="XX")}, "REGION_UNKNOWN", "ship_to.region_code"),
    ({"ship_to": PostalAddress(region_code="ES", locality="x" * 301)}, "FIELD_INVALID", "ship_to.locality"),
    (
        {"ship_to": PostalAddress(region_code="ES", address_lines=["x"] * 11)},
        "FIELD_INVALID",
        "ship_to.address_lines",
    ),
    (
        {"ship_to": PostalAddress(region_code="ES", recipients=["ok", "\x07"])},
        "FIELD_INVALID",
        "ship_to.recipients[1]",
    ),
    ({"payment_terms": pb.PAYMENT_TERMS_UNSPECIFIED}, "FIELD_REQUIRED", "payment_terms"),
    (
        {"payment_terms": pb.PAYMENT_TERMS_PAY_LATER, "payment_window": Duration(seconds=59)},
        "FIELD_INVALID",
        "payment_window",
    ),
    (
        {"payment_terms": pb.PAYMENT_TERMS_PAY_LATER, "payment_window": Duration(seconds=2_592_001)},
        "FIELD_INVALID",
        "payment_window",
    ),
    ({"payment_window": Duration(seconds=60, nanos=1)}, "FIELD_INVALID", "payment_window"),
    (
        {"expected_total": Money(currency_code="USD", units=1)},
        "FIELD_INVALID",
        "expected_total.currency_code",
    ),
    ({"expected_total": Money(currency_code="EUR", nanos=1)}, "FIELD_INVALID", "expected_total"),
    ({"expected_total": Money(currency_code="???")}, "CURRENCY_UNKNOWN", "expected_total.currency_code"),
    ({"language_code": "not a language"}, "FIELD_INVALID", "language_code"),
]


async def test_what_is_wrong_is_refused_with_its_place_and_not_stored(dsn: str) -> None:
    async with running(dsn) as orders:
        results = await orders.place(*(request_of(**changed) for changed, _, _ in BAD))
        for (changed, reason, field), result in zip(BAD, results, strict=True):
            error: DomainError = refusal(result)
            assert (error.code, error.reason, error.field) == ("INVALID_ARGUMENT", reason, field), changed
        assert await orders.rows_in("request_key") == 0


async def test_an_order_that_the_database_refuses_is_logged_without_its_address(dsn: str) -> None:
    async with running(dsn) as orders:
        async with orders.desk.db.connection() as connection:
            await connection.execute(
                "ALTER TABLE orders ADD CONSTRAINT orders_planted CHECK (ship_to::text NOT LIKE '%Teruel%')"
            )
        address = PostalAddress(
            region_code="ES",
            postal_code="44001",
            locality="Teruel",
            address_lines=["Calle del Planto 7"],
            recipients=["Ximena Plantada"],
        )
        with structlog.testing.capture_logs() as lines:
            bad, good = await orders.place(request_of(ship_to=address), request_of())
        assert refusal(bad).code == "INTERNAL"
        assert good.HasField("order")
        (line,) = [line for line in lines if line["event"] == "an order cannot be stored"]
        assert "orders_planted" in line["error"]
        told = line["error"] + pg_errors.render((type(line["exc_info"]), line["exc_info"], None))
        words = ("Ximena", "Planto", "Teruel", "44001")
        # PostgreSQL quotes the beginning of each column.
        assert any(word in str(line["exc_info"]) for word in words)
        assert not any(word in told for word in words)


async def test_the_limits_themselves_are_allowed(dsn: str) -> None:
    skus = {f"S{number}": "1" for number in range(100)}
    async with running(dsn, products=[product_of("many", skus)]) as orders:
        lines = [pb.PlaceOrderLine(sku=f"S{number % 100}", quantity=1_000_000) for number in range(2_000)]
        request = request_of(lines={}, buyer_ref="b" * 128, request_id="k" * 255)
        request.lines.extend(lines)
        (result,) = await orders.place(request)
        assert result.order.total == euros("2000000000")
        assert len(result.order.lines) == 2_000
        assert len((await orders.get(result.order)).lines) == 2_000


async def test_a_total_beyond_64_bits_is_refused(dsn: str) -> None:
    async with running(dsn, products=[product_of("dear", {"DEAR": "90000000000"})]) as orders:
        accepted, refused_one = await orders.place(
            request_of(lines={"DEAR": 1_000_000}), request_of(lines={"DEAR": 1_000_000})
        )
        assert accepted.order.total == euros("90000000000000000")
        request = request_of(lines={})
        request.lines.extend([pb.PlaceOrderLine(sku="DEAR", quantity=1_000_000)] * 2)
        (refused_one,) = await orders.place(request)
        assert refusal(refused_one).reason == "TOTAL_TOO_LARGE"


async def test_batches_are_bounded(dsn: str) -> None:
    async with running(dsn) as orders:
        with refused("INVALID_ARGUMENT", "TOO_MANY_ITEMS", field="requests"):
            await orders.place(*(request_of() for _ in range(257)))
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED", field="requests"):
            await orders.place()
        assert len(await orders.place(*(request_of() for _ in range(256)))) == 256


async def test_a_quote_costs_what_the_order_would_and_stores_nothing(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of()
        quote = await orders.stub.QuoteOrder(
            pb.QuoteOrderRequest(tenant_id=TENANT, currency_code="EUR", lines=request.lines)
        )
        (result,) = await orders.place(request)
        assert quote.total == result.order.total
        assert list(quote.lines) == list(result.order.lines)
        assert quote.merchant_id == MERCHANT
        with refused("FAILED_PRECONDITION", "SKU_UNKNOWN", sku="NOSUCH"):
            await orders.stub.QuoteOrder(
                pb.QuoteOrderRequest(
                    tenant_id=TENANT,
                    currency_code="EUR",
                    lines=[pb.PlaceOrderLine(sku="NOSUCH", quantity=1)],
                )
            )
        assert await orders.rows_in("orders") == 1


async def test_a_sold_out_order_is_refused_for_good_and_leaves_nothing(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of(sold_out_line=2)
        (first,) = await orders.place(request)
        error = refusal(first)
        assert (error.code, error.reason, error.metadata["sku"], error.field) == (
            "FAILED_PRECONDITION",
            "SOLD_OUT",
            "WIG-22",
            "lines[1].sku",
        )
        assert await orders.rows_in("orders") == await orders.rows_in("outbox") == 0
        # Stock is back: the same key still gets the same answer, as an attempt that was late on its way would.
        request.sold_out_line = 0
        (second,) = await orders.place(request)
        assert second.replayed
        assert second.error == first.error


async def test_an_order_that_was_placed_is_not_sold_out_afterwards(dsn: str) -> None:
    async with running(dsn) as orders:
        request = request_of()
        (first,) = await orders.place(request)
        request.sold_out_line = 1
        (second,) = await orders.place(request)
        assert second.replayed
        assert second.order == first.order


async def test_what_is_wrong_with_an_order_comes_before_what_is_sold_out(dsn: str) -> None:
    async with running(dsn) as orders:
        unknown, beyond = await orders.place(
            request_of(lines={"NO-SUCH": 1}, sold_out_line=1), request_of(sold_out_line=3)
        )
        assert refusal(unknown).reason == "SKU_UNKNOWN"
        assert refusal(beyond).reason == "FIELD_INVALID"
