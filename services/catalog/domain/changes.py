"""What a set of upserts changes, decided from what the database holds, without touching it.

The caller loads the heads of the products and the owners of the SKUs, under locks, and asks twice: `compare`
says which products are new, changed or as they were; `claim_skus` says which of those may have their SKUs.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from services.catalog.domain.products import Product, Status, StoredProduct, content_hash, with_status
from services.catalog.errors import MerchantImmutable, MerchantNotFound, SkuTaken
from services.chassis.errors import DomainError


class Head(msgspec.Struct, frozen=True, gc=False):
    """What must be known of a stored product to tell whether an upsert changes it."""

    merchant_id: str
    status: int
    version: int
    content_hash: bytes
    create_time: datetime


class Upsert(msgspec.Struct, frozen=True, gc=False):
    """A product as it shall be. `line` is where the caller stated it."""

    line: int
    product: Product
    content_hash: bytes


class Change(msgspec.Struct, frozen=True, gc=False):
    """A product as it will be stored, new or at its next version."""

    line: int
    stored: StoredProduct
    content_hash: bytes

    @property
    def is_new(self) -> bool:
        """Whether the product was not there before."""
        return self.stored.version == 1


class Refusal(msgspec.Struct, frozen=True):
    """An upsert that is not kept, and why."""

    line: int
    error: DomainError


class Comparison(msgspec.Struct):
    """The outcome of `compare`; `unchanged` counts products that stand so already."""

    changes: list[Change]
    refusals: list[Refusal]
    unchanged: int


class Claims(msgspec.Struct):
    """The outcome of `claim_skus`; `released` are SKUs that lose their product or change it."""

    changes: list[Change]
    refusals: list[Refusal]
    released: list[str]


def upsert(line: int, product: Product) -> Upsert:
    """An upsert of a validated product."""
    return Upsert(line, product, content_hash(product))


def last_of_each(upserts: Iterable[Upsert]) -> dict[str, Upsert]:
    """The upserts by product id; of several for one product the last one holds."""
    return {item.product.product_id: item for item in upserts}


def compare(
    upserts: Iterable[Upsert], heads: Mapping[str, Head], merchants: Collection[str], now: datetime
) -> Comparison:
    """Splits upserts by what they do to the stored `heads`; `merchants` are those that exist.

    A status left open means ACTIVE for a new product and the stored one for others.
    """
    changes: list[Change] = []
    refusals: list[Refusal] = []
    unchanged = 0
    for item in upserts:
        product = item.product
        head = heads.get(product.product_id)
        if head is None:
            if product.merchant_id not in merchants:
                refusals.append(Refusal(item.line, MerchantNotFound(product.merchant_id)))
                continue
            stored = StoredProduct(with_status(product, product.status or Status.ACTIVE), 1, now, now)
        elif head.merchant_id != product.merchant_id:
            refusals.append(Refusal(item.line, MerchantImmutable(product.product_id)))
            continue
        elif head.content_hash == item.content_hash and product.status in (Status.UNSPECIFIED, head.status):
            unchanged += 1
            continue
        else:
            product = with_status(product, product.status or head.status)
            stored = StoredProduct(product, head.version + 1, head.create_time, now)
        changes.append(Change(item.line, stored, item.content_hash))
    return Comparison(changes, refusals, unchanged)


def claim_skus(changes: Iterable[Change], owners: Mapping[str, str]) -> Claims:
    """Gives each change its SKUs in the order of the changes, all of them or none.

    `owners` maps every stored SKU that a change names, and every stored SKU of a changed product, to its
    product. A SKU that an earlier change gives up is free for a later one.
    """
    owner_of = dict(owners)
    skus_of: dict[str, set[str]] = {}
    for sku, product_id in owners.items():
        skus_of.setdefault(product_id, set()).add(sku)
    kept: list[Change] = []
    refusals: list[Refusal] = []
    for change in changes:
        product = change.stored.product
        taken = _first_taken(product, owner_of)
        if taken is not None:
            refusals.append(Refusal(change.line, taken))
            continue
        claimed = {variant.sku for variant in product.variants}
        for sku in skus_of.get(product.product_id, set()) - claimed:
            del owner_of[sku]
        skus_of[product.product_id] = claimed
        owner_of.update(dict.fromkeys(claimed, product.product_id))
        kept.append(change)
    released = sorted(sku for sku, product_id in owners.items() if owner_of.get(sku) != product_id)
    return Claims(kept, refusals, released)


def _first_taken(product: Product, owner_of: Mapping[str, str]) -> SkuTaken | None:
    for index, variant in enumerate(product.variants):
        owner = owner_of.get(variant.sku, product.product_id)
        if owner != product.product_id:
            return SkuTaken(variant.sku, owner=owner, field=f"variants[{index}].sku")
    return None
