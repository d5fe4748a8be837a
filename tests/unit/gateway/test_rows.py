"""Lines and rows of imports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampan.catalog.v1 import product_service_pb2 as pb

from services.gateway.imports.lines import Line, split_lines
from services.gateway.imports.rows import CsvDecoder, HeaderFault, NdjsonDecoder, RowDecoder, RowFault
from tests import laws

HEADER = "product_id,sku,title,price_EUR"


async def pieces_of(body: bytes, size: int) -> AsyncIterator[bytes]:
    """The body cut into pieces."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def lines_of(body: bytes, size: int, line_bytes_max: int = 100) -> list[Line]:
    """The lines of a body that arrives in pieces."""
    return [
        line
        async for lines in split_lines(pieces_of(body, size), line_bytes_max=line_bytes_max)
        for line in lines
    ]


@settings(max_examples=laws.examples(200))
@given(st.binary(max_size=200), st.integers(1, 50))
async def test_lines_are_the_same_however_the_body_is_cut(body: bytes, size: int) -> None:
    whole = await lines_of(body, 1000, line_bytes_max=20)
    assert await lines_of(body, size, line_bytes_max=20) == whole
    assert [line.number for line in whole] == list(range(1, len(whole) + 1))


async def test_a_long_line_is_dropped_and_the_next_is_whole() -> None:
    body = b"a\n" + b"x" * 500 + b"\nb\r\nlast"
    expected = [Line(1, b"a"), Line(2, None), Line(3, b"b"), Line(4, b"last")]
    for size in (1, 7, 100, 1000):
        assert await lines_of(body, size) == expected


def decoded(decoder: RowDecoder, text: str | bytes) -> list[pb.ImportRow | RowFault]:
    """All rows and faults of a body."""
    body = text.encode() if isinstance(text, str) else text
    lines = [Line(number, line.removesuffix(b"\r")) for number, line in enumerate(body.split(b"\n"), 1)]
    return [*decoder.feed(lines), *decoder.finish()]


def brief(rows: Sequence[pb.ImportRow | RowFault]) -> list[tuple[int, str]]:
    """(line, product id or reason) of each."""
    return [
        (row.line, row.reason) if isinstance(row, RowFault) else (row.line, row.product.product_id)
        for row in rows
    ]


@given(st.lists(st.text(alphabet='a"\n,;\r\\ é', max_size=12), max_size=12))
def test_no_csv_text_makes_anything_but_rows_and_faults(lines: list[str]) -> None:
    rows = decoded(CsvDecoder(record_bytes_max=40), HEADER + "\n" + "\n".join(lines))
    assert all(isinstance(row, pb.ImportRow | RowFault) for row in rows)


@given(st.lists(st.text(alphabet="ab,\" \u4e2d\n'", min_size=1, max_size=10), min_size=1, max_size=8))
def test_any_cell_survives_when_it_is_quoted(cells: list[str]) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    text = HEADER + "\n" + "\n".join(f"p{index},S{index},{cell},1" for index, cell in enumerate(quoted))
    rows = decoded(CsvDecoder(), text)
    assert [row.product.titles["en"] for row in rows if isinstance(row, pb.ImportRow)] == cells


def test_an_unclosed_quote_costs_one_row_only() -> None:
    text = HEADER + '\na,A,"open,1\nb,B,fine,1\nc,C,"x ""y""",1\nd,D,5" x,1\n'
    assert brief(decoded(CsvDecoder(), text)) == [(2, "BODY_MALFORMED"), (3, "b"), (4, "c"), (5, "d")]


@pytest.mark.parametrize(
    "header",
    ["product_id;sku", "sku,sku", "sku,colour", "price_", ",".join(f"option_{n}" for n in range(300))],
)
def test_a_header_that_cannot_be_used_is_refused_whole(header: str) -> None:
    with pytest.raises(HeaderFault):
        decoded(CsvDecoder(), header + "\n1,2\n")


def test_a_missing_column_leaves_the_field_to_the_catalog() -> None:
    [row] = decoded(CsvDecoder(), "product_id\na\n")
    assert isinstance(row, pb.ImportRow)
    assert row.product.variants[0].sku == ""


def test_ndjson_rows_and_faults() -> None:
    text = b"\n".join(
        (
            b'\xef\xbb\xbf{"product_id": "a"}',
            b"  ",
            b"[]",
            b'{"product_id": 1}',
            b'{"product_id": "\\u0000"}',
            b'{"variants": [{"sku": "S", "prices": [{"currency_code": "EUR", "amount": "x"}]}]}',
            b'{"variants": [{"sku": "S", "weight_grams": 99999999999}]}',
            b'{"x": ' + b"[" * 5000,
        )
    )
    rows = decoded(NdjsonDecoder(), text)
    assert [(row.line, row.field) for row in rows if isinstance(row, RowFault)] == [
        (3, ""),
        (4, "product_id"),
        (5, "product_id"),
        (6, "variants[0].prices[0].amount"),
        (7, "variants[0].weight_grams"),
        (8, "x"),
    ]
    assert isinstance(rows[0], pb.ImportRow)
