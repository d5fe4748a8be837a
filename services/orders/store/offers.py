"""The read model of the catalog: offers by (tenant_id, sku)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from services.chassis.pg import Connection
from services.orders.domain.pricing import Offer
from services.orders.store.rows import queries

_titles_decoder = msgspec.json.Decoder(dict[str, str])
_prices_decoder = msgspec.json.Decoder(dict[str, int])
_encoder = msgspec.json.Encoder()


class ProductOffers(NamedTuple):
    """A product's snapshot, as far as orders needs it; `offers` by SKU."""

    tenant_id: str
    product_id: str
    version: int
    update_time: datetime
    status: str
    offers: Mapping[str, Offer]


async def load_offers(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> tuple[datetime, dict[tuple[str, str], Offer]]:
    """The database's time and the offers of the given (tenant_id, sku); those that do not exist are left out."""
    rows = await connection.fetch(
        queries()["select_offers"], [tenant_id for tenant_id, _ in keys], [sku for _, sku in keys]
    )
    offers = {}
    for (
        _,
        tenant_id,
        sku,
        product_id,
        merchant_id,
        titles,
        prices,
        hs_code,
        origin,
        grams,
        hazardous,
        on_sale,
    ) in rows:
        if sku is not None:
            offers[tenant_id, sku] = Offer(
                product_id,
                merchant_id,
                _titles_decoder.decode(titles),
                _prices_decoder.decode(prices),
                hs_code,
                origin,
                grams,
                hazardous,
                on_sale,
            )
    return next(row["db_time"] for row in rows if row["db_time"] is not None), offers


async def replace_offers(connection: Connection, products: Sequence[ProductOffers]) -> int:
    """Takes over snapshots, at most one per product; returns how many were newer than what was known."""
    products = sorted(products)
    newer = {
        tuple(row)
        for row in await connection.fetch(
            queries()["claim_product_versions"],
            [product.tenant_id for product in products],
            [product.product_id for product in products],
            [product.version for product in products],
        )
    }
    products = [product for product in products if (product.tenant_id, product.product_id) in newer]
    if not products:
        return 0
    tenants, ids = [p.tenant_id for p in products], [p.product_id for p in products]
    rows = sorted(_rows(products))
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(14)]
    row_tenants, row_skus, row_products = columns[0], columns[1], columns[2]
    await connection.execute(queries()["lock_offers"], tenants, ids, row_tenants, row_skus)
    await connection.execute(
        queries()["delete_dropped_offers"], tenants, ids, row_tenants, row_products, row_skus
    )
    if rows:
        await connection.execute(queries()["upsert_offers"], *columns)
    return len(products)


def _rows(products: Sequence[ProductOffers]) -> list[tuple[object, ...]]:
    """One row per SKU. Within a batch a SKU that changed hands is kept for its newest owner only."""
    rows: dict[tuple[str, str], tuple[object, ...]] = {}
    for product in sorted(products, key=lambda product: product.update_time):
        for sku, offer in product.offers.items():
            rows[product.tenant_id, sku] = (
                product.tenant_id,
                sku,
                product.product_id,
                offer.merchant_id,
                _encoder.encode(offer.titles).decode(),
                _encoder.encode(offer.prices).decode(),
                offer.hs_code,
                offer.origin_region_code,
                offer.weight_grams,
                offer.hazardous,
                offer.on_sale,
                product.status,
                product.version,
                product.update_time,
            )
    return list(rows.values())
