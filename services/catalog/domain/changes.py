"""What a set of upserts changes, decided from what the database holds, without touching it.

The caller loads the heads of the products and the owners of the SKUs, under locks, and asks twice: `compare`
says which products are new, changed or as they were; `claim_skus` says which of those may have their SKUs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
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
    """A product as it shall be. `line` is where the caller stated it.

    `earlier` is what the same caller wanted of the product before; it holds where this is refused.
    """

    line: int
    product: Product
    content_hash: bytes
    earlier: "Upsert | None" = None


class Change(msgspec.Struct, frozen=True, gc=False):
    """A product as it will be stored, new or at its next version.

    `otherwise` is what becomes of it where its SKUs are not free, in the order in which that is tried; None
    stands for a product that stands so already.
    """

    line: int
    stored: StoredProduct
    content_hash: bytes
    otherwise: "tuple[Change | Refusal | None, ...]" = ()

    @property
    def is_new(self) -> bool:
        """Whether the product was not there before."""
        return self.stored.version == 1

    def skus(self) -> Iterator[str]:
        """Every SKU that it may claim."""
        for change in (self, *self.otherwise):
            if isinstance(change, Change):
                yield from (variant.sku for variant in change.stored.product.variants)


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
    """The upserts by product id; of several for one product the last one holds that is not refused."""
    last: dict[str, Upsert] = {}
    for item in upserts:
        product_id = item.product.product_id
        earlier = last.get(product_id)
        last[product_id] = item if earlier is None else msgspec.structs.replace(item, earlier=earlier)
    return last


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
        head = heads.get(item.product.product_id)
        outcomes = _outcomes(item, head, merchants, now)
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
                continue
            if outcome is None:
                unchanged += 1
            else:
                otherwise = tuple(outcomes) if item.earlier is not None else ()
                changes.append(Change(outcome.line, outcome.stored, outcome.content_hash, otherwise))
            break
    return Comparison(changes, refusals, unchanged)


def _outcomes(
    item: Upsert, head: Head | None, merchants: Collection[str], now: datetime
) -> Iterator[Change | Refusal | None]:
    """What an upsert comes to, then those before it, up to one that changes nothing and so cannot be refused."""
    wanted: Upsert | None = item
    while wanted is not None:
        outcome = _outcome(wanted, head, merchants, now)
        yield outcome
        if outcome is None:
            return
        wanted = wanted.earlier


def _outcome(
    item: Upsert, head: Head | None, merchants: Collection[str], now: datetime
) -> Change | Refusal | None:
    product = item.product
    if head is None:
        if product.merchant_id not in merchants:
            return Refusal(item.line, MerchantNotFound(product.merchant_id))
        stored = StoredProduct(with_status(product, product.status or Status.ACTIVE), 1, now, now)
    elif head.merchant_id != product.merchant_id:
        return Refusal(item.line, MerchantImmutable(product.product_id))
    elif head.content_hash == item.content_hash and product.status in (Status.UNSPECIFIED, head.status):
        return None
    else:
        product = with_status(product, product.status or head.status)
        stored = StoredProduct(product, head.version + 1, head.create_time, now)
    return Change(item.line, stored, item.content_hash)


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
    for wanted in changes:
        change = _first_free(wanted, owner_of, refusals)
        if change is None:
            continue
        product = change.stored.product
        claimed = {variant.sku for variant in product.variants}
        for sku in skus_of.get(product.product_id, set()) - claimed:
            del owner_of[sku]
        skus_of[product.product_id] = claimed
        owner_of.update(dict.fromkeys(claimed, product.product_id))
        kept.append(change)
    released = sorted(sku for sku, product_id in owners.items() if owner_of.get(sku) != product_id)
    return Claims(kept, refusals, released)


def _first_free(wanted: Change, owner_of: Mapping[str, str], refusals: list[Refusal]) -> Change | None:
    """The change, or what becomes of the product otherwise; adds what is refused on the way to `refusals`."""
    for outcome in (wanted, *wanted.otherwise):
        if outcome is None:
            return None
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
            continue
        taken = _first_taken(outcome.stored.product, owner_of)
        if taken is None:
            return outcome
        refusals.append(Refusal(outcome.line, taken))
    return None


def _first_taken(product: Product, owner_of: Mapping[str, str]) -> SkuTaken | None:
    for index, variant in enumerate(product.variants):
        owner = owner_of.get(variant.sku, product.product_id)
        if owner != product.product_id:
            return SkuTaken(variant.sku, owner=owner, field=f"variants[{index}].sku")
    return None
