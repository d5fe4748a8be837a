"""Products from memory and from the catalog, and imports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from google.type.money_pb2 import Money
from sampan.catalog.v1 import events_pb2
from sampan.catalog.v1 import product_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as stock_events
from sampan.warehouse.v1 import warehouse_service_pb2

from services.chassis.envelope import Event
from services.chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from services.gateway.routes import examples
from services.gateway.wiring import AVAILABILITY_TOPIC, PRODUCTS_TOPIC, WAREHOUSES_TOPIC
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.test_edge import assert_problem
from tests.component.gateway.test_orders import until

KEY = {"Idempotency-Key": "k"}


def snapshot(topic: str, key: str, message: Any) -> Event:
    """A snapshot as its owner publishes it; None is a tombstone."""
    payload = message.SerializeToString() if message is not None else b""
    type_ = message.DESCRIPTOR.full_name if message is not None else "t"
    return Event(topic, 0, 0, key, type_, key, 1, payload, None, UUID(int=1), 0)


def product_event(tenant_id: str, product: pb.Product) -> Event:
    """A product's snapshot."""
    message = events_pb2.ProductSnapshot(tenant_id=tenant_id, product=product)
    return snapshot(PRODUCTS_TOPIC, f"{tenant_id}/{product.product_id}", message)


async def test_a_product_in_memory_costs_no_call(system: System) -> None:
    product = system.catalog.add("demo", "silk-wig", version=3)
    system.gateway.products.apply([product_event("demo", product)])
    answer = await system.storefront.get("/v1/products/silk-wig")
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"3"'
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["variants"][0]["prices"] == [{"currency_code": "EUR", "amount": "12.50"}]
    for candidate in ('"3"', 'W/"3"', '"1", "3"', "*"):
        again = await system.storefront.get("/v1/products/silk-wig", headers={"If-None-Match": candidate})
        assert (again.status_code, again.content) == (304, b"")
    changed = await system.storefront.get("/v1/products/silk-wig", headers={"If-None-Match": '"2"'})
    assert changed.status_code == 200
    assert not system.catalog.requests


async def test_another_tenants_product_is_not_found(system: System) -> None:
    product = system.catalog.add("demo", "silk-wig")
    system.gateway.products.apply([product_event("demo", product)])
    assert_problem(await system.other.get("/v1/products/silk-wig"), 404, "PRODUCT_NOT_FOUND")
    assert_problem(await system.anonymous.get("/v1/products/silk-wig"), 401, "CREDENTIAL_REQUIRED")


async def test_an_older_snapshot_does_not_win_and_a_tombstone_removes(system: System) -> None:
    new = system.catalog.add("demo", "p", version=5, title="New")
    old = pb.Product()
    old.CopyFrom(new)
    old.version, old.titles["en"] = 4, "Old"
    system.gateway.products.apply([product_event("demo", new), product_event("demo", old)])
    assert (await system.storefront.get("/v1/products/p")).json()["titles"] == {"en": "New"}
    system.catalog.products.clear()
    system.gateway.products.apply([snapshot(PRODUCTS_TOPIC, "demo/p", None)])
    assert_problem(await system.storefront.get("/v1/products/p"), 404, "PRODUCT_NOT_FOUND")


async def test_what_is_no_snapshot_of_its_key_is_passed_over(system: System) -> None:
    """Raised, it would end every gateway at every start: the topic keeps it."""
    sound = system.catalog.add("demo", "p", version=1, title="Sound")
    timeless = pb.Product()
    timeless.CopyFrom(sound)
    timeless.version, timeless.create_time.seconds = 2, 2**62
    foreign = system.catalog.add("demo", "q", version=9, title="Foreign")
    forged = [
        product_event("demo", timeless),
        snapshot(PRODUCTS_TOPIC, "demo/p", events_pb2.ProductSnapshot(tenant_id="demo", product=foreign)),
        snapshot(PRODUCTS_TOPIC, "demo/p", stock_events.AvailabilitySnapshot(tenant_id="demo", sku="p")),
        snapshot(AVAILABILITY_TOPIC, "demo/W", stock_events.AvailabilitySnapshot(tenant_id="x", sku="W")),
        snapshot(WAREHOUSES_TOPIC, "demo/w", stock_events.WarehouseSnapshot(tenant_id="demo")),
    ]
    system.catalog.products.clear()
    system.gateway.apply_snapshots([product_event("demo", sound), *forged])
    assert (await system.storefront.get("/v1/products/p")).json()["titles"] == {"en": "Sound"}


async def test_misses_travel_together_and_unknown_ids_are_remembered(system: System) -> None:
    for number in range(50):
        system.catalog.add("demo", f"p{number}")
    system.catalog.delay_s = 0.05
    answers = await asyncio.gather(
        *(system.storefront.get(f"/v1/products/p{number % 50}") for number in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(system.catalog.requests) < 12
    assert sum(len(request.product_ids) for request in system.catalog.requests) == 50
    asked = len(system.catalog.requests)
    for _ in range(3):
        assert (await system.storefront.get("/v1/products/none")).status_code == 404
    assert len(system.catalog.requests) == asked + 1


async def test_memory_is_bounded_and_what_was_dropped_is_still_found(start: Start) -> None:
    system = await start(products_bytes_max=20_000)
    for number in range(200):
        product = system.catalog.add("demo", f"p{number}")
        system.gateway.products.apply([product_event("demo", product)])
    assert system.gateway.products._bytes <= 20_000
    assert (await system.storefront.get("/v1/products/p0")).status_code == 200
    assert (await system.storefront.get("/v1/products/p199")).status_code == 200
    assert len(system.catalog.requests) == 1


async def test_a_lookups_older_answer_does_not_replace_what_arrived_meanwhile(start: Start) -> None:
    system = await start(products_bytes_max=0)
    old = pb.Product()
    old.CopyFrom(system.catalog.add("demo", "p", title="Old"))
    system.catalog.gate = asyncio.Event()
    asked = asyncio.create_task(system.storefront.get("/v1/products/p"))
    await until(lambda: bool(system.catalog.requests))
    new = pb.Product()
    new.CopyFrom(old)
    new.version, new.etag, new.titles["en"] = 2, "2", "New"
    # There is no room for it: it is gone again before the lookup's older answer comes.
    system.gateway.products.apply([product_event("demo", new)])
    system.catalog.gate.set()
    answer = await asked
    assert (answer.headers["etag"], answer.json()["titles"]["en"]) == ('"2"', "New")


async def test_a_product_removed_during_its_lookup_is_not_kept(system: System) -> None:
    system.catalog.add("demo", "p")
    system.catalog.gate = asyncio.Event()
    asked = asyncio.create_task(system.storefront.get("/v1/products/p"))
    await until(lambda: bool(system.catalog.requests))
    system.gateway.products.apply([snapshot(PRODUCTS_TOPIC, "demo/p", None)])
    system.catalog.gate.set()
    assert (await asked).status_code == 404
    assert system.gateway.products.held("demo", "p") is None


async def test_a_miss_while_the_catalog_is_down_is_503_and_not_404(system: System) -> None:
    system.catalog.failure = Unavailable("DEPENDENCY_UNAVAILABLE", "down")
    assert_problem(await system.storefront.get("/v1/products/p"), 503, "DEPENDENCY_UNAVAILABLE")


async def test_create_and_update_are_seen_at_once(system: System) -> None:
    made = await system.operator.post("/v1/products", json=examples.PRODUCT, headers=KEY)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/products/silk-wig"
    asked = len(system.catalog.requests)
    read = await system.storefront.get("/v1/products/silk-wig")
    assert read.content == made.content
    body = made.json() | {"category": "hair/other"}
    changed = await system.operator.put("/v1/products/silk-wig", json=body, headers={"If-Match": '"1"'})
    assert changed.json()["version"] == 2
    sent = system.catalog.requests[asked].product
    assert (sent.etag, sent.version, sent.category) == ("1", 0, "hair/other")
    assert (await system.storefront.get("/v1/products/silk-wig")).json()["category"] == "hair/other"


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 428, "ETAG_REQUIRED"),
        ({"If-Match": "1"}, 400, "HEADER_INVALID"),
        ({"If-Match": 'W/"1"'}, 400, "HEADER_INVALID"),
        ({"If-Match": '"1", "2"'}, 400, "HEADER_INVALID"),
    ],
)
async def test_an_update_needs_a_proper_if_match(
    system: System, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await system.operator.put("/v1/products/silk-wig", json=examples.PRODUCT, headers=headers)
    assert_problem(answer, status, reason)
    assert not system.catalog.requests


@pytest.mark.parametrize(
    ("failure", "status", "place"),
    [
        (
            InvalidArgument("GTIN_INVALID", "m", field="product.variants[0].gtin"),
            400,
            {"pointer": "/variants/0/gtin"},
        ),
        (
            InvalidArgument("FIELD_INVALID", "m", field="product.titles[zh/CN]"),
            400,
            {"pointer": "/titles/zh~1CN"},
        ),
        (
            InvalidArgument("AMOUNT_TOO_PRECISE", "m", field="variants[0].prices[1].nanos"),
            400,
            {"pointer": "/variants/0/prices/1/amount"},
        ),
        (AlreadyExists("SKU_TAKEN", "m", field="variants[2].sku"), 409, {"pointer": "/variants/2/sku"}),
        (NotFound("MERCHANT_NOT_FOUND", "m", field="product.merchant_id"), 422, {"pointer": "/merchant_id"}),
        (InvalidArgument("FIELD_INVALID", "m", field="request_id"), 400, {"header": "Idempotency-Key"}),
    ],
)
async def test_a_services_field_becomes_a_place(
    system: System, failure: Exception, status: int, place: dict[str, str]
) -> None:
    system.catalog.failure = failure  # type: ignore[assignment]
    answer = await system.operator.post("/v1/products", json=examples.PRODUCT, headers=KEY)
    problem = assert_problem(answer, status, answer.json()["reason"])
    [found] = problem["errors"]  # type: ignore[misc]
    assert found.items() >= place.items()  # type: ignore[has-type]


async def test_batches_and_lists(system: System) -> None:
    system.catalog.add("demo", "a")
    system.catalog.add("demo", "b")
    batch = await system.storefront.post("/v1/products:batchGet", json={"ids": ["b", "none", "a", "a b"]})
    assert [product["product_id"] for product in batch.json()["products"]] == ["b", "a"]
    assert batch.json()["missing"] == ["none", "a b"]
    by_query = await system.storefront.get("/v1/products?ids=a,b")
    assert [product["product_id"] for product in by_query.json()["products"]] == ["a", "b"]
    page = await system.storefront.get("/v1/products?status=active&page_size=2&category=hair")
    assert page.json()["next_page_token"] == "more"
    asked = system.catalog.requests[-1]
    assert (asked.status, asked.page_size, asked.category) == (pb.PRODUCT_STATUS_ACTIVE, 2, "hair")
    answer = await system.storefront.post("/v1/products:batchGet", json={"ids": ["a"] * 201})
    assert_problem(answer, 400, "TOO_MANY_ITEMS")


async def test_equal_lists_are_asked_for_once_until_a_product_changes(system: System) -> None:
    product = system.catalog.add("demo", "a")
    path = "/v1/products?page_size=5"
    system.catalog.delay_s = 0.1
    answers = await asyncio.gather(*(system.storefront.get(path) for _ in range(20)))
    assert len({answer.content for answer in answers}) == 1
    assert len(system.catalog.requests) == 1
    await system.storefront.get("/v1/products?page_size=6")
    await system.other.get(path)
    assert len(system.catalog.requests) == 3
    system.gateway.apply_snapshots([product_event("demo", system.catalog.add("demo", "b", version=2))])
    assert len((await system.storefront.get(path)).json()["products"]) == 2
    body = {"product_id": "c", "merchant_id": "m", "titles": {"en": "C"}}
    await system.operator.post("/v1/products", json=body, headers=KEY)
    assert len((await system.storefront.get(path)).json()["products"]) == 3
    system.catalog.failure = Unavailable("DEPENDENCY_UNAVAILABLE", "down")
    assert (await system.storefront.get(path)).status_code == 200
    system.gateway.apply_snapshots([product_event("demo", product)])
    assert_problem(await system.storefront.get(path), 503, "DEPENDENCY_UNAVAILABLE")


def stock_event(sku: str, version: int, **levels: int) -> Event:
    """A SKU's availability by warehouse."""
    message = stock_events.AvailabilitySnapshot(tenant_id="demo", sku=sku, version=version)
    for warehouse_id, available in levels.items():
        message.levels.add(warehouse_id=warehouse_id, available=available)
    return snapshot(AVAILABILITY_TOPIC, f"demo/{sku}", message)


def warehouse_event(warehouse_id: str, *countries: str, disabled: bool = False, version: int = 1) -> Event:
    """A warehouse that serves some countries."""
    warehouse = warehouse_service_pb2.Warehouse(warehouse_id=warehouse_id, disabled=disabled, version=version)
    for country in countries:
        warehouse.served_countries.add(
            region_code=country,
            transit_days_min=1,
            transit_days_max=4,
            cost=Money(currency_code="EUR", units=4),
        )
    message = stock_events.WarehouseSnapshot(tenant_id="demo", warehouse=warehouse)
    return snapshot(WAREHOUSES_TOPIC, f"demo/{warehouse_id}", message)


async def test_availability_counts_what_serves_the_destination(system: System) -> None:
    apply = system.gateway.apply_snapshots
    apply(
        [
            warehouse_event("madrid", "ES", "PT"),
            warehouse_event("canton", "CN"),
            warehouse_event("closed", "ES"),
        ]
    )
    apply([stock_event("W", 2, madrid=5, canton=7, closed=100, empty=0)])
    apply([stock_event("W", 1, madrid=1)])
    apply([warehouse_event("closed", "ES", disabled=True, version=2)])
    answer = await system.storefront.get("/v1/availability?skus=W,none&region_code=ES")
    assert answer.json() == {
        "availabilities": [
            {
                "sku": "W",
                "available": 5,
                "warehouses": [
                    {"warehouse_id": "madrid", "available": 5, "transit_days_min": 1, "transit_days_max": 4}
                ],
            },
            {"sku": "none", "available": 0, "warehouses": []},
        ]
    }
    everywhere = await system.storefront.post("/v1/availability:batchGet", json={"skus": ["W"]})
    assert everywhere.json()["availabilities"][0] == {
        "sku": "W",
        "available": 12,
        "warehouses": [
            {"warehouse_id": "canton", "available": 7},
            {"warehouse_id": "madrid", "available": 5},
        ],
    }
    theirs = await system.other.get("/v1/availability?skus=W")
    assert theirs.json()["availabilities"][0]["available"] == 0
    assert not system.warehouse.requests


async def test_availability_is_not_told_before_it_is_known(system: System) -> None:
    system.gateway.snapshots.caught_up.clear()
    answer = await system.storefront.get("/v1/availability?skus=W")
    assert_problem(answer, 503, "STARTING")
    assert answer.headers["retry-after"] == "1"
    assert (await system.anonymous.get("/readyz")).status_code == 503
    assert (await system.anonymous.get("/healthz")).status_code == 200


NDJSON = {"Content-Type": "application/x-ndjson"}


def row(product_id: str, **changes: object) -> bytes:
    """A good line, changed."""
    product = {
        "product_id": product_id,
        "titles": {"en": "Thing"},
        "variants": [{"sku": product_id.upper(), "prices": [{"currency_code": "EUR", "amount": "1.00"}]}],
    }
    return msgspec.json.encode(product | changes) + b"\n"


async def test_an_import_keeps_the_good_rows_and_reports_the_bad(system: System) -> None:
    body = b"".join(
        (
            row("a"),
            b"\n",
            b"{nonsense\n",
            row("b", colour="red"),
            row("bad-gtin"),
            row("c", variants=[{"sku": "C", "prices": [{"currency_code": "EUR", "amount": "1.234"}]}]),
            b'{"product_id": "\xff"}\n',
            row("d").rstrip(),
        )
    )
    answer = await system.operator.post(
        "/v1/imports/products?merchant_id=north-lights", content=body, headers=NDJSON
    )
    report = answer.json()
    assert {name: report[name] for name in ("read", "created", "updated", "unchanged", "failed")} == {
        "read": 7,
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": 5,
    }
    assert [(error["line"], error["field"], error["reason"]) for error in report["errors"]] == [
        (3, "", "BODY_MALFORMED"),
        (4, "colour", "FIELD_UNKNOWN"),
        (5, "variants[0].gtin", "GTIN_INVALID"),
        (6, "variants[0].prices[0].amount", "AMOUNT_TOO_PRECISE"),
        (7, "", "BODY_MALFORMED"),
    ]
    assert system.catalog.chunks[0].merchant_id == "north-lights"
    assert [line.line for chunk in system.catalog.chunks for line in chunk.rows] == [1, 5, 8]


async def test_an_import_as_csv(system: System) -> None:
    body = (
        "\ufeffproduct_id,sku,title,title_es,price_EUR,weight_grams,hazards,option_colour\r\n"
        'a,A,"A ""fine"", long\r\nthing",Cosa,12.50,100,lithium_battery|liquid,red\r\n'
        "b,B,Thing,,x,,,\r\n"
        "c,C,Thing\r\n"
        'd,D,5" pipe,,1,,,\r\n'
        'e,E,"open,,1,,,\r\n'
        "f,F,Thing,,2,many,,\r\n"
        "g,G,Thing,,2,,water,\r\n"
    )
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    answer = await system.operator.post("/v1/imports/products", content=body.encode(), headers=headers)
    report = answer.json()
    assert (report["read"], report["created"], report["failed"]) == (7, 2, 5), report
    assert [(error["line"], error["field"]) for error in report["errors"]] == [
        (4, "price_EUR"),
        (5, ""),
        (7, ""),
        (8, "weight_grams"),
        (9, "hazards"),
    ]
    first, second = (line for chunk in system.catalog.chunks for line in chunk.rows)
    assert first.product.titles["en"] == 'A "fine", long\nthing'
    assert first.product.variants[0].options == {"colour": "red"}
    assert list(first.product.variants[0].hazards) == [pb.HAZARD_LITHIUM_BATTERY, pb.HAZARD_LIQUID]
    assert second.product.titles["en"] == '5" pipe'
    answer = await system.operator.post("/v1/imports/products", content=b"a;b\n1;2\n", headers=headers)
    assert_problem(answer, 400, "FIELD_INVALID")


async def test_a_long_line_is_one_bad_row_and_errors_shown_are_bounded(start: Start) -> None:
    system = await start(import_line_bytes_max=2000)

    async def body() -> AsyncIterator[bytes]:
        yield row("a")
        for _ in range(100):
            yield b"x" * 1000
        yield b"\n"
        yield row("b")
        for _ in range(1500):
            yield b"{\n"

    answer = await system.operator.post("/v1/imports/products", content=body(), headers=NDJSON)
    report = answer.json()
    assert (report["read"], report["created"], report["failed"]) == (1503, 2, 1501)
    assert len(report["errors"]) == 1000
    assert report["errors_not_shown"] == 501
    assert report["errors"][0]["line"] == 2
    assert report["errors"][0]["reason"] == "LINE_TOO_LONG"


async def test_a_fast_import_waits_for_the_catalog(start: Start) -> None:
    system = await start(import_chunk_rows=10, import_chunks_in_flight_max=2)
    system.catalog.import_delay_s = 0.02
    body = b"".join(row(f"p{number}") for number in range(205))
    answer = await system.operator.post("/v1/imports/products", content=body, headers=NDJSON)
    assert answer.json()["created"] == 205
    assert len(system.catalog.chunks) == 21


async def test_an_import_into_a_failing_catalog_is_503(system: System) -> None:
    system.catalog.failure = Unavailable("DEPENDENCY_UNAVAILABLE", "down")
    body = b"".join(row(f"p{number}") for number in range(5000))
    answer = await asyncio.wait_for(
        system.operator.post("/v1/imports/products", content=body, headers=NDJSON), 20
    )
    assert_problem(answer, 503, "DEPENDENCY_UNAVAILABLE")


async def test_imports_are_bounded_and_for_operators(start: Start) -> None:
    system = await start(import_bytes_max=10_000, imports_max=1)
    assert_problem(
        await system.storefront.post("/v1/imports/products", content=row("a"), headers=NDJSON),
        403,
        "ROLE_MISSING",
    )
    answer = await system.operator.post("/v1/imports/products", content=row("a") * 1000, headers=NDJSON)
    assert_problem(answer, 413, "BODY_TOO_LARGE")
    answer = await system.operator.post("/v1/imports/products", json=[])
    assert_problem(answer, 415, "MEDIA_TYPE_UNSUPPORTED")
    system.catalog.import_delay_s = 0.5
    first, second = await asyncio.gather(
        *(system.operator.post("/v1/imports/products", content=row("a"), headers=NDJSON) for _ in range(2))
    )
    assert sorted((first.status_code, second.status_code)) == [200, 429]
    answer = await system.operator.post("/v1/imports/products", content=b"", headers=NDJSON)
    assert answer.json()["read"] == 0
