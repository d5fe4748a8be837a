"""Decodes the rows of an import into products of the contract; a faulty row becomes a fault, never an exception.

NDJSON: each line is a product as `POST /v1/products` takes it. CSV (RFC 4180, UTF-8, header first): each record
is a product with one variant. Columns: product_id, sku, `title` (English) or `title_<language>`,
`price_<currency>`; optional: merchant_id, description or description_<language>, category, hs_code,
origin_region_code, status, gtin, weight_grams, length_mm, width_mm, height_mm, hazards (separated by `|`),
option_<name>. An empty cell, and a column that the header does not name, count as absent.
"""

import csv
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec
from sampan.catalog.v1 import product_service_pb2 as pb

from services.gateway.call import refuse_nul
from services.gateway.errors import Problem, validation_fault
from services.gateway.imports.lines import Line
from services.gateway.schemas.base import INT32_MAX, Money
from services.gateway.schemas.catalog import Product
from services.gateway.translate.catalog import HAZARD, STATUS, product_proto
from services.gateway.translate.values import money_proto

BOM = b"\xef\xbb\xbf"
COLUMNS_MAX = 200
RECORD_LINES_MAX = 100
RECORD_BYTES_MAX = 128 * 1024
UNTERMINATED = "unexpected end of data"


class RowFault(NamedTuple):
    """Why a row was not kept."""

    line: int
    field: str
    reason: str
    message: str


Decoded = pb.ImportRow | RowFault


class RowDecoder(Protocol):
    """Turns lines into rows; `finish` gives what was still open at the end."""

    def feed(self, lines: Sequence[Line]) -> Iterable[Decoded]:
        """The rows that these lines complete."""

    def finish(self) -> Iterable[Decoded]:
        """The rows that the end completes."""


class HeaderFault(Exception):
    """The CSV header cannot be worked with: no row can be read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _overlong(line: int) -> RowFault:
    return RowFault(line, "", "LINE_TOO_LONG", "the line has more bytes than an import may have")


def _field_of(pointer: str) -> str:
    """`/variants/0/prices/1/amount` -> `variants[0].prices[1].amount`."""
    text = ""
    for step in pointer.split("/")[1:]:
        text += f"[{step}]" if step.isdigit() else f".{step}" if text else step
    return text


def _fault_of(problem: Problem, line: int, field: str | None = None) -> RowFault:
    place = problem.places[0] if problem.places else None
    found = field if field is not None else _field_of(place.name) if place else ""
    return RowFault(line, found, problem.reason, problem.detail)


class NdjsonDecoder:
    """One JSON object per line; blank lines are skipped."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Product)

    def feed(self, lines: Sequence[Line]) -> Iterable[Decoded]:
        """A row or a fault per line that is not blank."""
        decode = self._decoder.decode
        for number, content in lines:
            if content is None:
                yield _overlong(number)
                continue
            bare = content.removeprefix(BOM) if number == 1 else content
            if not bare.strip():
                continue
            try:
                product = decode(bare)
                if b"\\u0000" in content:
                    refuse_nul(product)
                yield pb.ImportRow(line=number, product=product_proto(product))
            except msgspec.ValidationError as error:
                reason, path, detail = validation_fault(error)
                yield RowFault(number, path, reason, detail)
            except Problem as problem:
                yield _fault_of(problem, number)
            except UnicodeDecodeError:
                yield RowFault(number, "", "BODY_MALFORMED", "the line is not UTF-8")
            except (msgspec.DecodeError, RecursionError, ValueError) as error:
                yield RowFault(number, "", "BODY_MALFORMED", str(error))

    def finish(self) -> Iterable[Decoded]:
        """Nothing: a line is a row."""
        return ()


class CsvDecoder:
    """Records with a header; a quoted cell may hold line feeds, as long as its record keeps within bounds."""

    def __init__(self, *, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._record_bytes_max = record_bytes_max
        self._build: _RecordBuilder | None = None
        self._open: list[Line] = []
        self._open_bytes = 0

    def feed(self, lines: Sequence[Line]) -> Iterable[Decoded]:
        """A row or a fault per record completed; raises HeaderFault."""
        for line in lines:
            yield from self._take(line)

    def finish(self) -> Iterable[Decoded]:
        """The fault of a quote that was never closed, and the rows that it swallowed."""
        while self._open:
            yield from self._give_up("a quote is opened and not closed")

    def _take(self, line: Line) -> Iterable[Decoded]:
        if line.content is None:
            yield from self.finish()
            yield _overlong(line.number)
            return
        if not self._open and not line.content.strip():
            return
        self._open.append(line)
        self._open_bytes += len(line.content) + 1
        yield from self._parse()

    def _parse(self) -> Iterable[Decoded]:
        first = self._open[0].number
        content = b"\n".join(line.content or b"" for line in self._open)
        try:
            text = content.decode("utf-8-sig" if first == 1 else "utf-8")
        except UnicodeDecodeError:
            self._close()
            yield RowFault(first, "", "BODY_MALFORMED", "the record is not UTF-8")
            return
        try:
            cells = next(csv.reader((text,), strict=True))
        except csv.Error as error:
            is_open = str(error) == UNTERMINATED
            if is_open and self._open_bytes <= self._record_bytes_max and len(self._open) < RECORD_LINES_MAX:
                return
            yield from self._give_up("a quote is opened and not closed" if is_open else str(error))
            return
        self._close()
        if self._build is None:
            self._build = _RecordBuilder(cells)
            return
        yield self._build.row(first, cells)

    def _give_up(self, message: str) -> Iterable[Decoded]:
        """Only the first line is at fault: what an open quote of it swallowed is read anew."""
        lines = self._open
        self._close()
        yield RowFault(lines[0].number, "", "BODY_MALFORMED", message)
        for line in lines[1:]:
            yield from self._take(line)

    def _close(self) -> None:
        self._open = []
        self._open_bytes = 0


_WHOLE_NUMBERS = ("weight_grams", "length_mm", "width_mm", "height_mm")
_PLAIN = (
    "product_id",
    "merchant_id",
    "category",
    "hs_code",
    "origin_region_code",
    "status",
    "sku",
    "gtin",
    "hazards",
)


class _RecordBuilder:
    """Knows from the header what each column holds."""

    def __init__(self, header: Sequence[str]) -> None:
        names = [name.strip() for name in header]
        if len(names) > COLUMNS_MAX:
            raise HeaderFault(f"more than {COLUMNS_MAX} columns")
        if len(set(names)) != len(names):
            raise HeaderFault("a column is named twice")
        self._columns = len(names)
        self._plain: dict[str, int] = {}
        self._titles: list[tuple[int, str]] = []
        self._descriptions: list[tuple[int, str]] = []
        self._prices: list[tuple[int, str, str]] = []
        self._options: list[tuple[int, str]] = []
        for index, name in enumerate(names):
            self._assign(index, name)

    def _assign(self, index: int, name: str) -> None:
        kind, _, rest = name.partition("_")
        if name in _PLAIN or name in _WHOLE_NUMBERS:
            self._plain[name] = index
        elif kind == "title":
            self._titles.append((index, rest or "en"))
        elif kind == "description":
            self._descriptions.append((index, rest or "en"))
        elif kind == "price" and rest:
            self._prices.append((index, rest.upper(), name))
        elif kind == "option" and rest:
            self._options.append((index, rest))
        else:
            raise HeaderFault(f"unknown column {name[:80]!r}")

    def row(self, line: int, cells: Sequence[str]) -> Decoded:
        """The record's product, or what is wrong with it."""
        if len(cells) != self._columns:
            return RowFault(
                line, "", "BODY_MALFORMED", f"{len(cells)} cells where the header has {self._columns}"
            )
        if any("\0" in cell for cell in cells):
            return RowFault(line, "", "FIELD_INVALID", "a text may not hold NUL characters")
        plain = {name: cells[index].strip() for name, index in self._plain.items()}
        variant = pb.Variant(sku=plain.get("sku", ""), gtin=plain.get("gtin", ""))
        for index, name in self._options:
            if cells[index]:
                variant.options[name] = cells[index]
        fault = self._measures(line, plain, variant) or self._money(line, cells, variant)
        if fault is not None:
            return fault
        for word in filter(None, plain.get("hazards", "").split("|")):
            number = HAZARD.number(word.strip())
            if not number:
                return RowFault(line, "hazards", "FIELD_INVALID", f"not one of {', '.join(HAZARD.number_of)}")
            variant.hazards.append(number)
        status = plain.get("status", "")
        if status and not STATUS.number(status):
            return RowFault(line, "status", "FIELD_INVALID", f"not one of {', '.join(STATUS.number_of)}")
        product = pb.Product(
            product_id=plain.get("product_id", ""),
            merchant_id=plain.get("merchant_id", ""),
            titles={language: cells[index] for index, language in self._titles if cells[index]},
            descriptions={language: cells[index] for index, language in self._descriptions if cells[index]},
            category=plain.get("category", ""),
            hs_code=plain.get("hs_code", ""),
            origin_region_code=plain.get("origin_region_code", ""),
            status=STATUS.number(status),
            variants=[variant],
        )
        return pb.ImportRow(line=line, product=product)

    def _measures(self, line: int, plain: dict[str, str], variant: pb.Variant) -> RowFault | None:
        for name in _WHOLE_NUMBERS:
            text = plain.get(name, "")
            if not text:
                continue
            if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > INT32_MAX:
                return RowFault(line, name, "FIELD_INVALID", "not a whole number in range")
            if name == "weight_grams":
                variant.weight_grams = int(text)
            else:
                setattr(variant.dimensions, name, int(text))
        return None

    def _money(self, line: int, cells: Sequence[str], variant: pb.Variant) -> RowFault | None:
        for index, currency, column in self._prices:
            text = cells[index].strip()
            if not text:
                continue
            try:
                variant.prices.append(money_proto(Money(currency, text), ""))
            except Problem as problem:
                return _fault_of(problem, line, column)
        return None
