"""The demonstration's catalogue agrees with itself."""

from __future__ import annotations

import json
from collections import Counter

from stdnum import ean

from deploy.local.demo import CATALOGUE, SKU

DOCUMENT = json.loads(CATALOGUE.read_text())
VARIANTS = [variant for product in DOCUMENT["products"] for variant in product["variants"]]


def test_skus_and_gtins_are_unique_and_valid() -> None:
    assert max(Counter(variant["sku"] for variant in VARIANTS).values()) == 1
    assert max(Counter(variant["gtin"] for variant in VARIANTS).values()) == 1
    assert all(ean.is_valid(variant["gtin"]) for variant in VARIANTS)


def test_every_product_speaks_four_languages_and_has_three_prices() -> None:
    assert all(product["titles"].keys() == {"en", "es", "th", "zh"} for product in DOCUMENT["products"])
    currencies = [{price["currency_code"] for price in variant["prices"]} for variant in VARIANTS]
    assert all(found == {"EUR", "USD", "THB"} for found in currencies)


def test_stock_is_received_of_known_skus_by_their_merchants_into_known_warehouses() -> None:
    owners = {
        variant["sku"]: product["merchant_id"]
        for product in DOCUMENT["products"]
        for variant in product["variants"]
    }
    warehouses = {warehouse["warehouse_id"] for warehouse in DOCUMENT["warehouses"]}
    for delivery in DOCUMENT["stock"]:
        assert delivery["warehouse_id"] in warehouses
        assert {owners[line["sku"]] for line in delivery["lines"]} == {delivery["merchant_id"]}
    assert SKU in owners
