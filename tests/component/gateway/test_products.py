"""Products from memory and from the catalog."""

from __future__ import annotations

import asyncio

import pytest
from sampan.catalog.v1 import events_pb2
from sampan.catalog.v1 import product_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as stock_events

from services.chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from services.gateway.routes import examples
from services.gateway.wiring import AVAILABILITY_TOPIC, PRODUCTS_TOPIC, WAREHOUSES_TOPIC
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import until
from tests.component.gateway.snapshots import product_event, snapshot
from tests.component.gateway.test_edge import assert_problem

KEY = {"Idempotency-Key": "k"}


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


async def test_a_search_is_asked_of_the_catalog_and_its_faults_are_those_of_the_parameter(
    system: System,
) -> None:
    system.catalog.add("demo", "a")
    page = await system.storefront.get("/v1/products", params={"q": "Peluca แพนด้า", "category": "hair"})
    assert [product["product_id"] for product in page.json()["products"]] == ["a"]
    await system.storefront.get("/v1/products", params={"q": "peluca", "category": "hair"})
    assert [request.query for request in system.catalog.requests] == ["Peluca แพนด้า", "peluca"]
    both = await system.storefront.get("/v1/products?ids=a&q=peluca")
    assert_problem(both, 400, "FIELD_INVALID")
    system.catalog.failure = InvalidArgument("FIELD_INVALID", "m", field="query")
    problem = assert_problem(await system.storefront.get("/v1/products?q=!"), 400, "FIELD_INVALID")
    assert problem["errors"][0]["parameter"] == "q"  # type: ignore[index]
    asked = len(system.catalog.requests)
    assert_problem(await system.storefront.get("/v1/products?q=" + "x" * 101), 400, "FIELD_INVALID")
    assert len(system.catalog.requests) == asked


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
