"""Rows <-> domain. Functions take a connection, run named statements and leave the transaction alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import asyncpg
import msgspec

from services.catalog.domain import words
from services.catalog.domain.changes import Change, Claims, Head
from services.catalog.domain.merchants import Merchant, StoredMerchant
from services.catalog.domain.products import Product, StoredProduct, Variant
from services.chassis.pg import Connection
from services.chassis.queries import load_queries

PACKAGE = "services.catalog"
SEARCH_S_MAX = 2.0

_encoder = msgspec.json.Encoder()
_variants = msgspec.json.Decoder(tuple[Variant, ...])
_texts = msgspec.json.Decoder(dict[str, str])
_answer = msgspec.json.Decoder(StoredProduct)


def _sql(name: str) -> str:
    return load_queries(PACKAGE)[name]


def _json(value: object) -> str:
    return _encoder.encode(value).decode()


async def insert_merchant(
    connection: Connection, tenant_id: str, merchant: Merchant, create_time: datetime
) -> bool:
    """Whether the merchant was added; False where the id is taken."""
    added = await connection.fetchval(
        _sql("insert_merchant"),
        tenant_id,
        merchant.merchant_id,
        merchant.display_name,
        merchant.region_code,
        create_time,
    )
    return added is not None


async def merchant(connection: Connection, tenant_id: str, merchant_id: str) -> StoredMerchant | None:
    """One merchant, if there is one."""
    row = await connection.fetchrow(_sql("select_merchant"), tenant_id, merchant_id)
    return None if row is None else _merchant_of(row)


async def merchants_after(
    connection: Connection, tenant_id: str, after: str, limit: int
) -> list[StoredMerchant]:
    """At most `limit` merchants after an id, in the order of their ids."""
    rows = await connection.fetch(_sql("select_merchant_page"), tenant_id, after, limit)
    return [_merchant_of(row) for row in rows]


async def known_merchants(
    connection: Connection, tenant_id: str, merchant_ids: Sequence[str]
) -> frozenset[str]:
    """Those of the ids that exist."""
    rows = await connection.fetch(_sql("select_known_merchants"), tenant_id, merchant_ids)
    return frozenset(row["merchant_id"] for row in rows)


async def products(
    connection: Connection, tenant_id: str, product_ids: Sequence[str]
) -> dict[str, StoredProduct]:
    """Those of the products that exist, by id."""
    rows = await connection.fetch(_sql("select_products"), tenant_id, product_ids)
    return {row["product_id"]: _product_of(row) for row in rows}


async def product_ids_after(
    connection: Connection,
    tenant_id: str,
    after: str,
    *,
    merchant_id: str,
    category: str,
    status: int,
    limit: int,
    asked: Sequence[str] = (),
) -> list[str]:
    """At most `limit` ids after an id, in their order, of the products that pass the filter.

    Of those that have words with each of the beginnings in `asked`, where there are any; raises TimeoutError where
    these are not found in time.
    """
    chosen = (tenant_id, after, merchant_id, category, status, limit)
    if asked:
        query = " & ".join(f"'{tenant_id}/{word}':*" for word in asked)
        rows = await connection.fetch(_sql("search_product_page"), *chosen, query, timeout=SEARCH_S_MAX)
    else:
        rows = await connection.fetch(_sql("select_product_page"), *chosen)
    return [row["product_id"] for row in rows]


async def lock_products_after(
    connection: Connection, tenant_id: str, after: str, limit: int
) -> list[tuple[str, list[StoredProduct]]]:
    """At most `limit` products of all tenants after a tenant's product, by tenant, in the order of ids; locked."""
    rows = await connection.fetch(_sql("lock_product_page"), tenant_id, after, limit)
    found = []
    for tenant, of_tenant in groupby(rows, key=itemgetter("tenant_id")):
        product_ids = [row["product_id"] for row in of_tenant]
        stored = await products(connection, tenant, product_ids)
        found.append((tenant, [stored[product_id] for product_id in product_ids]))
    return found


async def lock_heads(connection: Connection, tenant_id: str, product_ids: Sequence[str]) -> dict[str, Head]:
    """Locks those of the products that exist; their heads by id."""
    rows = await connection.fetch(_sql("lock_heads"), tenant_id, product_ids)
    return {row[0]: Head(row[1], row[2], row[3], row[4], row[5]) for row in rows}


async def lock_skus(
    connection: Connection, tenant_id: str, skus: Sequence[str], product_ids: Sequence[str]
) -> dict[str, str]:
    """Locks the stored ones of the SKUs and all SKUs of the products; their products by SKU."""
    rows = await connection.fetch(_sql("lock_skus"), tenant_id, skus, product_ids)
    return {row[0]: row[1] for row in rows}


async def write_products(connection: Connection, tenant_id: str, claims: Claims) -> None:
    """Stores products whose heads and SKUs are locked.

    Raises SerializationError, upon which the transaction is repeated, where another transaction has meanwhile
    added one of the products or SKUs.
    """
    new = sorted((change for change in claims.changes if change.is_new), key=_product_id_of)
    changed = [change for change in claims.changes if not change.is_new]
    if new:
        added = await connection.execute(
            _sql("insert_products"),
            tenant_id,
            *_content_arrays(tenant_id, new),
            [change.stored.product.merchant_id for change in new],
            [change.stored.create_time for change in new],
        )
        _refuse_fewer(added, len(new))
    if changed:
        await connection.execute(
            _sql("update_products"),
            tenant_id,
            *_content_arrays(tenant_id, changed),
            [change.stored.version for change in changed],
            [change.stored.update_time for change in changed],
        )
    if claims.released:
        await connection.execute(_sql("delete_variants"), tenant_id, claims.released)
    await _upsert_variants(connection, tenant_id, (change.stored.product for change in claims.changes))


async def _upsert_variants(connection: Connection, tenant_id: str, contents: Iterable[Product]) -> None:
    rows = sorted(
        (variant.sku, product.product_id, position, variant)
        for product in contents
        for position, variant in enumerate(product.variants)
    )
    variants = [row[3] for row in rows]
    stored = await connection.execute(
        _sql("upsert_variants"),
        tenant_id,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [variant.gtin for variant in variants],
        [_json(variant.options) if variant.options else "{}" for variant in variants],
        [_json(variant.prices) for variant in variants],
        [variant.weight_grams for variant in variants],
        [variant.length_mm for variant in variants],
        [variant.width_mm for variant in variants],
        [variant.height_mm for variant in variants],
        ["{" + ",".join(map(str, variant.hazards)) + "}" for variant in variants],
    )
    _refuse_fewer(stored, len(rows))


async def lock_wordless(connection: Connection, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """Locks at most `limit` products that cannot be found by their words; their tenants and ids, in their order."""
    rows = await connection.fetch(_sql("lock_wordless"), *after, limit)
    return [(row["tenant_id"], row["product_id"]) for row in rows]


async def update_words(connection: Connection, tenant_id: str, contents: Iterable[Product]) -> None:
    """Lets locked products be found by the words that they have."""
    lexemes = {product.product_id: _lexemes(tenant_id, product) for product in contents}
    await connection.execute(_sql("update_words"), tenant_id, list(lexemes), list(lexemes.values()))


async def insert_request_key(
    connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes, answer: StoredProduct
) -> bool:
    """Whether the request id was new; waits for a request at work with the same one."""
    added = await connection.fetchval(
        _sql("insert_request_key"), tenant_id, request_id, fingerprint, _json(answer)
    )
    return added is not None


async def request_answer(
    connection: Connection, tenant_id: str, request_id: str
) -> tuple[bytes, StoredProduct]:
    """The fingerprint and the answer of an earlier request; SerializationError where it is just forgotten."""
    row = await connection.fetchrow(_sql("select_request_key"), tenant_id, request_id)
    if row is None:
        raise asyncpg.SerializationError("the request id was forgotten meanwhile")
    return row["fingerprint"], _answer.decode(row["answer"])


def _product_id_of(change: Change) -> str:
    return change.stored.product.product_id


def _content_arrays(tenant_id: str, ordered: Sequence[Change]) -> tuple[list[Any], ...]:
    """The columns that adding and replacing have in common, one array each."""
    contents = [change.stored.product for change in ordered]
    return (
        [product.product_id for product in contents],
        [_json(product.titles) for product in contents],
        [_json(product.descriptions) if product.descriptions else "{}" for product in contents],
        [product.category for product in contents],
        [product.hs_code for product in contents],
        [product.origin_region_code for product in contents],
        [product.status for product in contents],
        [change.content_hash for change in ordered],
        [_lexemes(tenant_id, product) for product in contents],
    )


def _lexemes(tenant_id: str, product: Product) -> str:
    """A product's words as a tsvector is written. Each begins with its tenant, so that no search reads another's."""
    return " ".join(f"'{tenant_id}/{word}'" for word in words.kept(product))


def _refuse_fewer(command_tag: str, expected: int) -> None:
    """The tag of INSERT ends with the number of rows."""
    if int(command_tag.rpartition(" ")[2]) < expected:
        raise asyncpg.SerializationError("another transaction was first")


def _merchant_of(row: Any) -> StoredMerchant:
    return StoredMerchant(
        Merchant(row["merchant_id"], row["display_name"], row["region_code"]), row["create_time"]
    )


def _product_of(row: Any) -> StoredProduct:
    product = Product(
        product_id=row["product_id"],
        merchant_id=row["merchant_id"],
        titles=_texts.decode(row["titles"]),
        descriptions=_texts.decode(row["descriptions"]),
        category=row["category"],
        hs_code=row["hs_code"],
        origin_region_code=row["origin_region_code"],
        status=row["status"],
        variants=_variants.decode(row["variants"]),
    )
    return StoredProduct(product, row["version"], row["create_time"], row["update_time"])
