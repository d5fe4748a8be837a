"""Imports through the gateway into the real catalog."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from tests.e2e.conftest import Shop

pytestmark = pytest.mark.stack

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}
PATH = "/v1/imports/products?merchant_id=north-lights"


def test_good_rows_are_kept_bad_ones_reported_and_a_repetition_changes_nothing(shop: Shop) -> None:
    mark = uuid4().hex[:8]

    def row(number: int, **changes: object) -> str:
        product = {
            "product_id": f"i-{mark}-{number}",
            "titles": {"en": f"Import {number}"},
            "variants": [
                {"sku": f"I-{mark}-{number}", "prices": [{"currency_code": "EUR", "amount": "3.50"}]}
            ],
        }
        return json.dumps(product | changes)

    rows = [row(number) for number in range(1200)]
    rows[10] = "{broken"
    rows[20] = row(20, titles={})
    rows[30] = row(30, merchant_id="nobody")
    rows[40] = row(40, variants=[{"sku": f"I-{mark}-40", "gtin": "123", "prices": []}])
    rows[50] = row(50, surprise=True)
    rows[60] = row(60, product_id="a b")
    body = "\n".join(rows).encode()
    report = shop.must(shop.operator.post(PATH, content=body, headers=NDJSON))
    assert (report["read"], report["created"], report["failed"]) == (1200, 1194, 6), report
    assert [error["line"] for error in report["errors"]] == [11, 21, 31, 41, 51, 61]
    by_line = {error["line"]: (error["reason"], error["field"]) for error in report["errors"]}
    assert by_line[11] == ("BODY_MALFORMED", "")
    assert by_line[21] == ("FIELD_REQUIRED", "titles")
    assert by_line[31] == ("MERCHANT_NOT_FOUND", "merchant_id")
    assert by_line[51] == ("FIELD_UNKNOWN", "surprise")
    assert by_line[61] == ("FIELD_INVALID", "product_id")

    again = shop.must(shop.operator.post(PATH, content=body, headers=NDJSON))
    assert (again["created"], again["updated"], again["unchanged"], again["failed"]) == (0, 0, 1194, 6)
    found = shop.must(shop.storefront.get(f"/v1/products/i-{mark}-1199"))
    assert found["titles"] == {"en": "Import 1199"}
    assert shop.storefront.get(f"/v1/products/i-{mark}-20").status_code == 404


def test_csv(shop: Shop) -> None:
    mark = uuid4().hex[:8]
    body = (
        "product_id,sku,title,title_es,price_EUR,price_USD,gtin,weight_grams\n"
        f'c-{mark}-1,C-{mark}-1,"One, ""fine""",Uno,1.50,2.00,4006381333931,120\n'
        f"c-{mark}-2,C-{mark}-2,Two,,1.50,,4006381333930,\n"
        f"c-{mark}-3,C-{mark}-3,Three\n"
        f"c-{mark}-4,C-{mark}-4,Four,,0.999,,,\n"
    )
    report = shop.must(shop.operator.post(PATH, content=body.encode(), headers=CSV))
    assert (report["read"], report["created"], report["failed"]) == (4, 1, 3), report
    assert [(error["line"], error["reason"]) for error in report["errors"]] == [
        (3, "GTIN_INVALID"),
        (4, "BODY_MALFORMED"),
        (5, "AMOUNT_TOO_PRECISE"),
    ]
    [variant] = shop.must(shop.storefront.get(f"/v1/products/c-{mark}-1"))["variants"]
    assert variant["gtin"] == "4006381333931"
    assert len(variant["prices"]) == 2
