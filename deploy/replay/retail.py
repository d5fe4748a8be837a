"""Reads the Online Retail format: every row is classified once, sales are grouped into orders.

Rows are read as they are: cancelled, adjusted, free or damaged rows are counted by kind and never sent, so
that rows read = sum of all kinds. Columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate,
UnitPrice, CustomerID, Country.
"""

import csv
import gzip
import io
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from deploy.replay.countries import region_of

COLUMNS = (
    *("InvoiceNo", "StockCode", "Description", "Quantity"),
    *("InvoiceDate", "UnitPrice", "CustomerID", "Country"),
)
_PENNY = Decimal("0.01")
_QUANTITY_CHARS_MAX = 18
_PRICE_CHARS_MAX = 30
_PRICE_MAX = Decimal(10**12)
_STOCK_CODE_CHARS_MAX = 40


class RowKind(StrEnum):
    """What a row is; the first that applies, in this order."""

    MALFORMED = "malformed"
    CANCELLATION = "cancellation"
    ADJUSTMENT = "adjustment"
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    PRICE_NOT_POSITIVE = "price_not_positive"
    SALE = "sale"


class UnreadableFile(Exception):
    """The file is missing, of another format, or ends in the middle."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sale row."""

    invoice: str
    stock_code: str
    description: str
    quantity: int
    price_pence: int
    country: str


@dataclass(slots=True)
class SaleOrder:
    """The sale rows of one invoice, in their order; the same item may stand on several lines."""

    invoice: str
    country: str
    region_code: str
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    """(stock code, price in pence, quantity)"""

    @property
    def units(self) -> int:
        """Pieces over all lines."""
        return sum(quantity for _, _, quantity in self.lines)

    @property
    def total_pence(self) -> int:
        """The value at rounded prices."""
        return sum(price * quantity for _, price, quantity in self.lines)


@dataclass(slots=True)
class Sales:
    """Everything that a file holds."""

    rows: Counter[RowKind]
    orders: list[SaleOrder]
    titles: dict[str, str]
    """The first description of each stock code that was sold."""
    rounded_prices: int
    """Sale rows whose price was no whole number of pence."""
    invoices_of_several_countries: int

    @property
    def rows_read(self) -> int:
        """Rows after the header."""
        return sum(self.rows.values())


def pence(price: Decimal) -> int:
    """A price rounded half-up to the penny."""
    return int(price.quantize(_PENNY, ROUND_HALF_UP) * 100)


def read_sales(path: Path) -> Sales:
    """Reads and groups a whole file (.csv, .csv.gz, .csv.xz). Raises UnreadableFile."""
    try:
        with open_text(path) as text:
            return group(_rows(text))
    except FileNotFoundError:
        raise UnreadableFile(f"there is no file {path}") from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"{path} is damaged or ends too early: {error}") from error
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error}") from error


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Opens a plain or packed file as text; bytes that are no UTF-8 come out as lone surrogates."""
    with ExitStack() as files:
        raw: IO[bytes] = files.enter_context(path.open("rb"))
        if path.suffix == ".gz":
            raw = cast(IO[bytes], files.enter_context(gzip.GzipFile(fileobj=raw)))
        elif path.suffix == ".xz":
            raw = files.enter_context(lzma.LZMAFile(raw))
        yield io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def group(rows: Iterable[list[str] | None]) -> Sales:
    """Classifies every row and groups the sales by invoice, in the order of first appearance.

    A row is None where the CSV reader could make nothing of it.
    """
    counts: Counter[RowKind] = Counter()
    orders: dict[str, SaleOrder] = {}
    titles: dict[str, str] = {}
    mixed: set[str] = set()
    rounded = 0
    for fields in rows:
        kind, row = classify(fields)
        counts[kind] += 1
        if row is None:
            continue
        order = orders.get(row.invoice)
        if order is None:
            region_code = region_of(row.country)
            assert region_code is not None, "classify lets only known countries through"
            order = orders[row.invoice] = SaleOrder(row.invoice, row.country, region_code)
        elif order.country != row.country:
            mixed.add(row.invoice)
        order.lines.append((row.stock_code, row.price_pence, row.quantity))
        if row.description and row.stock_code not in titles:
            titles[row.stock_code] = row.description
        assert fields is not None
        rounded += _is_finer_than_a_penny(fields[5])
    for order in orders.values():
        for stock_code, _, _ in order.lines:
            titles.setdefault(stock_code, stock_code)
    return Sales(counts, list(orders.values()), titles, rounded, len(mixed))


def classify(fields: list[str] | None) -> tuple[RowKind, Row | None]:
    """What a row is; with its content only where it is a sale."""
    if fields is None or len(fields) != len(COLUMNS) or any(map(_is_not_utf8, fields)):
        return RowKind.MALFORMED, None
    invoice, stock_code, description, quantity_text, _, price_text, _, country = fields
    if invoice.startswith("C"):
        return RowKind.CANCELLATION, None
    if invoice.startswith("A"):
        return RowKind.ADJUSTMENT, None
    quantity = _quantity(quantity_text)
    price = _price(price_text)
    if quantity is None or price is None or not _is_key(invoice) or not _is_code(stock_code):
        return RowKind.MALFORMED, None
    if quantity <= 0:
        return RowKind.QUANTITY_NOT_POSITIVE, None
    if price <= 0:
        return RowKind.PRICE_NOT_POSITIVE, None
    if region_of(country) is None:
        return RowKind.MALFORMED, None
    return RowKind.SALE, Row(invoice, stock_code, _title(description), quantity, pence(price), country)


def _rows(text: Iterable[str]) -> Iterator[list[str] | None]:
    """The rows after the header, None for each that is no CSV. Raises UnreadableFile for another header."""
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader)
    except (StopIteration, csv.Error):
        header = []
    if tuple(name.strip() for name in header) != COLUMNS:
        raise UnreadableFile(f"not the Online Retail format: the first line must read {','.join(COLUMNS)}")
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None


def _is_not_utf8(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text)


def _is_key(invoice: str) -> bool:
    return invoice.isascii() and invoice.isalnum() and invoice[:1].isdigit() and len(invoice) <= 32


def _is_code(stock_code: str) -> bool:
    return (
        0 < len(stock_code) <= _STOCK_CODE_CHARS_MAX
        and stock_code.isascii()
        and stock_code.isprintable()
        and stock_code.strip() == stock_code
        and "/" not in stock_code
    )


def _title(description: str) -> str:
    return "".join(char if char.isprintable() else " " for char in description).strip()[:500]


@lru_cache(maxsize=4096)
def _quantity(text: str) -> int | None:
    try:
        return int(text) if text.isascii() and len(text) <= _QUANTITY_CHARS_MAX else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _price(text: str) -> Decimal | None:
    try:
        price = Decimal(text) if text.isascii() and len(text) <= _PRICE_CHARS_MAX else None
    except InvalidOperation:
        return None
    return price if price is not None and price.is_finite() and abs(price) < _PRICE_MAX else None


@lru_cache(maxsize=4096)
def _is_finer_than_a_penny(text: str) -> bool:
    price = _price(text)
    return price is not None and price != price.quantize(_PENNY, ROUND_HALF_UP)
