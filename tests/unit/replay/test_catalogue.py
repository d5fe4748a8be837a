"""The names of a replay's things: reversible, unique, and within the API's bounds."""

import re
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.replay import catalogue, wire
from deploy.replay.catalogue import Naming
from deploy.replay.countries import SITES
from deploy.replay.retail import SaleOrder

PRODUCT_ID = re.compile(r"[A-Za-z0-9._~-]*")
ORDER = SaleOrder("536365", "EIRE", "IE", [("BANK CHARGES", 1500, 1), ("85123A", 255, 2), ("85123A", 255, 2)])


@given(st.text())
def test_a_product_id_says_its_sku(sku: str) -> None:
    try:
        sku.encode()
    except UnicodeEncodeError:
        return
    identifier = catalogue.product_id(sku)
    assert PRODUCT_ID.fullmatch(identifier)
    assert unquote(identifier.replace("~", "%"), errors="strict") == sku


@given(st.integers(min_value=0, max_value=10**12))
def test_money_is_reversible(pence: int) -> None:
    assert catalogue.minor(catalogue.money(pence)) == pence


@pytest.mark.parametrize("amount", ["", "1", "1.5", "1.555", "-1.00", "1e2", "x.yz", ".50x"])
def test_what_is_no_amount_in_pounds_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        catalogue.minor(amount)


def test_names_stay_within_the_bounds_of_the_api() -> None:
    naming = Naming("x" * 16)
    assert len(naming.sku(("S" * 12, 1_000_000_00))) <= 64
    assert len(catalogue.product_id(naming.sku(("gift_0001_20", 1_106_206)))) <= 64
    assert all(len(naming.warehouse_id(site.suffix)) <= 40 for site in SITES)
    assert len(naming.buyer_ref) <= 128


def test_two_runs_share_no_sku_no_warehouse_and_no_key() -> None:
    one, other = Naming("a"), Naming("b")
    assert one.sku(("1", 1)) != other.sku(("1", 1))
    assert one.warehouse_id("gb") != other.warehouse_id("gb")
    assert one.order_key("1") != other.order_key("1")
    assert one.buyer_ref != other.buyer_ref


def test_an_order_keeps_its_lines_as_they_are() -> None:
    naming = Naming("r")
    body = msgspec.json.decode(wire.order_body(ORDER, naming))
    assert body["lines"] == [
        {"sku": "r.BANK CHARGES@15.00", "quantity": 1},
        {"sku": "r.85123A@2.55", "quantity": 2},
        {"sku": "r.85123A@2.55", "quantity": 2},
    ]
    assert body["expected_total"] == {"currency_code": "GBP", "amount": "25.20"}
    assert body["ship_to"]["region_code"] == "IE"


def test_the_stock_received_is_what_will_be_sold() -> None:
    needed = catalogue.stock_needed([ORDER, SaleOrder("2", "USA", "US", [("85123A", 255, 7)])])
    assert needed == {"gb": {("BANK CHARGES", 1500): 1, ("85123A", 255): 4}, "cn": {("85123A", 255): 7}}


def test_the_catalogue_has_a_product_per_price() -> None:
    items = catalogue.items_of([ORDER, SaleOrder("2", "USA", "US", [("85123A", 249, 7)])])
    rows = [
        msgspec.json.decode(line)
        for line in catalogue.import_rows(items, {"85123A": "HEART", "BANK CHARGES": "CHARGES"}, Naming("r"))
    ]
    assert [row["variants"][0]["sku"] for row in rows] == [
        "r.BANK CHARGES@15.00",
        "r.85123A@2.55",
        "r.85123A@2.49",
    ]
    assert [row["titles"]["en"] for row in rows] == ["CHARGES", "HEART", "HEART"]
