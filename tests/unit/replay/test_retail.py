"""Every row of a file is of exactly one kind, and what is sent is exactly the sales."""

import gzip
import lzma
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.replay import catalogue, countries, retail
from deploy.replay.retail import RowKind

HEADER = ",".join(retail.COLUMNS)
DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "online_retail.csv.xz"


def row(**changes: str) -> list[str]:
    values = {
        "InvoiceNo": "536365",
        "StockCode": "85123A",
        "Description": "WHITE HANGING HEART",
        "Quantity": "6",
        "InvoiceDate": "2010-12-01 08:26:00",
        "UnitPrice": "2.55",
        "CustomerID": "17850.0",
        "Country": "United Kingdom",
    }
    return list((values | changes).values())


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, RowKind.SALE),
        ({"CustomerID": ""}, RowKind.SALE),
        ({"Description": ""}, RowKind.SALE),
        ({"InvoiceNo": "C536379", "Quantity": "-1"}, RowKind.CANCELLATION),
        ({"InvoiceNo": "C536379", "Quantity": "no number"}, RowKind.CANCELLATION),
        ({"InvoiceNo": "A563185", "UnitPrice": "-11062.06"}, RowKind.ADJUSTMENT),
        ({"Quantity": "0"}, RowKind.QUANTITY_NOT_POSITIVE),
        ({"Quantity": "-5", "UnitPrice": "0"}, RowKind.QUANTITY_NOT_POSITIVE),
        ({"UnitPrice": "0.0"}, RowKind.PRICE_NOT_POSITIVE),
        ({"UnitPrice": "-1"}, RowKind.PRICE_NOT_POSITIVE),
        ({"UnitPrice": "0.001"}, RowKind.SALE),
        ({"UnitPrice": "nan"}, RowKind.MALFORMED),
        ({"UnitPrice": "Infinity"}, RowKind.MALFORMED),
        ({"UnitPrice": "1e999999"}, RowKind.MALFORMED),
        ({"UnitPrice": "two"}, RowKind.MALFORMED),
        ({"Quantity": "1.5"}, RowKind.MALFORMED),
        ({"Quantity": "٣"}, RowKind.MALFORMED),
        ({"Quantity": "9" * 5000}, RowKind.MALFORMED),
        ({"StockCode": ""}, RowKind.MALFORMED),
        ({"StockCode": "a/b"}, RowKind.MALFORMED),
        ({"StockCode": " 1"}, RowKind.MALFORMED),
        ({"InvoiceNo": ""}, RowKind.MALFORMED),
        ({"InvoiceNo": "X1"}, RowKind.MALFORMED),
        ({"Country": "Atlantis"}, RowKind.MALFORMED),
        ({"Description": "caf\udce9"}, RowKind.MALFORMED),
    ],
)
def test_a_row_is_of_the_first_kind_that_applies(changes: dict[str, str], kind: RowKind) -> None:
    found, sale = retail.classify(row(**changes))
    assert found is kind
    assert (sale is not None) == (kind is RowKind.SALE)


@pytest.mark.parametrize("fields", [None, [], ["536365"], [*row(), "more"]])
def test_another_number_of_columns_is_malformed(fields: list[str] | None) -> None:
    assert retail.classify(fields) == (RowKind.MALFORMED, None)


@given(st.lists(st.text(max_size=12), max_size=10) | st.none())
def test_no_row_is_ever_a_crash(fields: list[str] | None) -> None:
    kind, sale = retail.classify(fields)
    assert (sale is not None) == (kind is RowKind.SALE)


def test_sales_are_grouped_by_invoice_in_the_order_of_their_first_row() -> None:
    sales = retail.group(
        [
            row(InvoiceNo="2", Quantity="1"),
            row(InvoiceNo="1", Quantity="2", StockCode="71053", Description=""),
            row(InvoiceNo="2", Quantity="3"),
            row(InvoiceNo="2", Quantity="3"),
            row(InvoiceNo="C9"),
        ]
    )
    assert [order.invoice for order in sales.orders] == ["2", "1"]
    assert sales.orders[0].lines == [("85123A", 255, 1), ("85123A", 255, 3), ("85123A", 255, 3)]
    assert (sales.orders[0].units, sales.orders[0].total_pence) == (7, 1785)
    assert sales.rows_read == 5
    assert sales.titles == {"85123A": "WHITE HANGING HEART", "71053": "71053"}


def test_the_title_is_the_first_description_that_is_not_empty() -> None:
    sales = retail.group([row(Description=""), row(Description="FIRST"), row(Description="SECOND")])
    assert sales.titles == {"85123A": "FIRST"}


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("2.55", 255),
        ("2.545", 255),
        ("0.005", 1),
        ("0.0049", 0),
        ("0.001", 0),
        ("11062.06", 1106206),
        ("3", 300),
    ],
)
def test_prices_are_rounded_half_up_to_the_penny(price: str, expected: int) -> None:
    assert retail.pence(Decimal(price)) == expected


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.xz"])
def test_a_file_may_be_packed_and_damaged_rows_are_counted(tmp_path: Path, suffix: str) -> None:
    lines = [HEADER, ",".join(row()), ",".join(row(InvoiceNo="C1")), "1,2"]
    raw = "\r\n".join(lines).encode() + b'\r\n536366,1,caf\xe9,1,,1,,France\r\n536367,2,"a"b,1,,1,,France\r\n'
    packed = {".csv": raw, ".csv.gz": gzip.compress(raw, mtime=0), ".csv.xz": lzma.compress(raw)}[suffix]
    path = tmp_path / f"sales{suffix}"
    path.write_bytes(packed)
    sales = retail.read_sales(path)
    assert sales.rows == {RowKind.SALE: 1, RowKind.CANCELLATION: 1, RowKind.MALFORMED: 3}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "there is no file"),
        ("empty.csv", b"", "not the Online Retail format"),
        ("other.csv", b"a,b,c\n1,2,3\n", "not the Online Retail format"),
        ("cut.csv.xz", lzma.compress(HEADER.encode())[:-20], "ends too early"),
        ("cut.csv.gz", gzip.compress(HEADER.encode(), mtime=0)[:-6], "ends too early"),
        ("noise.csv.gz", b"this is no gzip file", "damaged"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(retail.UnreadableFile, match=says):
        retail.read_sales(path)


def test_every_country_of_the_data_has_one_warehouse_per_code() -> None:
    served = {site.suffix: set(site.serves) for site in countries.SITES}
    for region in countries.COUNTRIES.values():
        for code in ("85123A", "POST", "BANK CHARGES", "71053"):
            assert region in served[countries.site_for(region, code)]
    assert len(countries.COUNTRIES) == 38


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the Online Retail data is not at ../shared/data")
def test_the_real_data_gives_the_published_figures() -> None:
    sales = retail.read_sales(DATA)
    assert sales.rows_read == 541_909
    assert sales.rows[RowKind.MALFORMED] == 0
    assert sales.rows[RowKind.QUANTITY_NOT_POSITIVE] == 1_336
    assert sales.rows[RowKind.SALE] == 530_103
    assert len(sales.orders) == 19_959
    assert max(len(order.lines) for order in sales.orders) <= 1_114
    assert len(sales.titles) == 3_921
    assert len({code.upper() for code in sales.titles}) == 3_811
    assert sum(order.units for order in sales.orders) == 5_588_375
    assert sum(order.total_pence for order in sales.orders) == 1_065_562_248
    assert sales.rounded_prices == 4
    pairs = Counter((order.invoice, code) for order in sales.orders for code, _, _ in order.lines)
    assert sum(count > 1 for count in pairs.values()) == 9_566
    items = catalogue.items_of(sales.orders)
    assert len(items) == 15_413
    needed = catalogue.stock_needed(sales.orders)
    assert sum(sum(site.values()) for site in needed.values()) == 5_588_375
