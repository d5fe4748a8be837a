"""Before the first order: the merchant, the run's warehouses, its catalogue and just the stock it sells.

Every step may be repeated: creations return what is stored, imports are upserts, receipts carry keys.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence

import msgspec

from deploy.replay import wire
from deploy.replay.catalogue import Item, Naming, import_rows, stock_needed
from deploy.replay.client import Api, Reply
from deploy.replay.countries import SITES
from deploy.replay.progress import Bar
from deploy.replay.retail import SaleOrder

IMPORT_ROWS_MAX = 2_000
RECEIPT_LINES_MAX = 1_000
QUOTE_LINES_MAX = 1_000
IMPORT_TIMEOUT_S = 120.0
POLL_S = 0.1


class PreparationFailed(Exception):
    """The stack refused what the replay needs before it can begin."""


async def open_shop(api: Api, naming: Naming) -> None:
    """The merchant and the run's warehouses."""
    _must(await api.post("/v1/merchants", wire.merchant_body(naming), key=f"{naming.merchant_id}/merchant"))
    for site in SITES:
        key = f"{naming.run}/warehouse/{site.suffix}"
        _must(await api.post("/v1/warehouses", wire.warehouse_body(naming, site), key=key))


async def import_catalogue(
    api: Api, naming: Naming, items: Sequence[Item], titles: Mapping[str, str]
) -> None:
    """Every item as a product; raises PreparationFailed with the first errors where rows are refused."""
    with Bar("products", len(items)) as bar:
        rows = import_rows(items, titles, naming)
        while chunk := list(itertools.islice(rows, IMPORT_ROWS_MAX)):
            reply = _must(
                await api.post(
                    "/v1/imports/products",
                    b"".join(chunk),
                    content_type="application/x-ndjson",
                    timeout_s=IMPORT_TIMEOUT_S,
                )
            )
            report = msgspec.json.decode(reply.body, type=wire.ImportReport)
            if report.failed or report.read != len(chunk):
                raise PreparationFailed(
                    f"{report.read} of {len(chunk)} rows of the catalogue were read, "
                    f"{report.failed} refused: {report.errors[:3]}"
                )
            bar.advance(len(chunk))


async def receive_stock(api: Api, naming: Naming, orders: Sequence[SaleOrder]) -> int:
    """Books in what the orders will sell; returns the units."""
    needed = stock_needed(orders)
    units = 0
    with Bar("stock", sum(map(len, needed.values()))) as bar:
        for suffix, items in needed.items():
            lines = [(naming.sku(item), quantity) for item, quantity in items.items()]
            for number, start in enumerate(range(0, len(lines), RECEIPT_LINES_MAX)):
                chunk = lines[start : start + RECEIPT_LINES_MAX]
                document = f"{naming.run}/receipt/{suffix}/{number}"
                body = wire.receipt_body(naming.warehouse_id(suffix), naming.merchant_id, document, chunk)
                _must(await api.post("/v1/stock:receive", body, key=document))
                units += sum(quantity for _, quantity in chunk)
                bar.advance(len(chunk))
    return units


async def await_catalogue(api: Api, naming: Naming, items: Sequence[Item]) -> float:
    """Waits until every SKU can be ordered at its price; returns the seconds. Raises PreparationFailed."""
    started = time.monotonic()
    with Bar("prices", len(items)) as bar:
        for start in range(0, len(items), QUOTE_LINES_MAX):
            chunk = items[start : start + QUOTE_LINES_MAX]
            body = wire.quote_body([(naming.sku(item), 1) for item in chunk])
            expected = sum(price for _, price in chunk)
            while True:
                reply = await api.post("/v1/quotes", body)
                if reply.ok and msgspec.json.decode(reply.body, type=wire.Quote).total.minor == expected:
                    break
                if time.monotonic() - started > api.patience_s:
                    raise PreparationFailed(
                        f"the imported prices did not reach orders within {api.patience_s:g} s: "
                        f"{reply.status} {reply.body[:300]!r}"
                    )
                await asyncio.sleep(POLL_S)
            bar.advance(len(chunk))
    return time.monotonic() - started


def _must(reply: Reply) -> Reply:
    if not reply.ok:
        raise PreparationFailed(f"{reply.status}: {reply.body[:500].decode(errors='replace')}")
    return reply
