"""Imports of products, line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from sampan.catalog.v1 import product_service_pb2 as pb

from services.chassis.errors import Unavailable
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.test_edge import assert_problem

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
