"""Products and their variants: what a caller may state, and the value that is kept.

A *draft* is what a caller stated, unchecked, as plain Python values. `validated` turns it into a `Product`,
the normal form: prices in minor units by currency, every mapping in the order of its keys, hazards sorted.
Two drafts that mean the same have the same `content_hash`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import TypeVar

import msgspec

from services.catalog.domain import checks
from services.chassis.errors import FieldInvalid, FieldRequired, InvalidArgument, TooManyItems

V = TypeVar("V")

TITLES_MAX = 30
TITLE_CHARS_MAX = 500
DESCRIPTIONS_MAX = 30
DESCRIPTION_CHARS_MAX = 20_000
VARIANTS_MAX = 100
OPTIONS_MAX = 10
OPTION_NAME_CHARS_MAX = 64
OPTION_VALUE_CHARS_MAX = 200
PRICES_MAX = 50
WEIGHT_GRAMS_MAX = 1_000_000
LENGTH_MM_MAX = 100_000
CONTENT_BYTES_MAX = 400_000
CONTENT_HASH_BYTES = 16
ANY_ETAG = "*"


class Status(IntEnum):
    """Whether a product can be bought; the numbers are those of the contract."""

    UNSPECIFIED = 0
    DRAFT = 1
    ACTIVE = 2
    ARCHIVED = 3


class Hazard(IntEnum):
    """What restricts a parcel's way; the numbers are those of the contract."""

    LITHIUM_BATTERY = 1
    LIQUID = 2
    POWDER = 3
    MAGNET = 4
    FLAMMABLE = 5
    GAS = 6


_STATUSES = frozenset(map(int, Status))
_HAZARDS = frozenset(map(int, Hazard))


class VariantDraft(msgspec.Struct, gc=False):
    """A variant as a caller stated it. Prices are (currency code, units, nanos)."""

    sku: str = ""
    gtin: str = ""
    options: Mapping[str, str] = {}
    prices: Sequence[tuple[str, int, int]] = ()
    weight_grams: int = 0
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0
    hazards: Sequence[int] = ()


class ProductDraft(msgspec.Struct, gc=False):
    """A product as a caller stated it."""

    product_id: str = ""
    merchant_id: str = ""
    titles: Mapping[str, str] = {}
    descriptions: Mapping[str, str] = {}
    category: str = ""
    hs_code: str = ""
    origin_region_code: str = ""
    status: int = 0
    variants: Sequence[VariantDraft] = ()


class Variant(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One sellable form of a product. Prices are minor units by currency code."""

    sku: str
    prices: dict[str, int]
    gtin: str = ""
    options: dict[str, str] = {}
    weight_grams: int = 0
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0
    hazards: tuple[int, ...] = ()


class Product(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a merchant offers, in normal form. Its status is UNSPECIFIED where the caller left it open."""

    product_id: str
    merchant_id: str
    titles: dict[str, str]
    variants: tuple[Variant, ...]
    descriptions: dict[str, str] = {}
    category: str = ""
    hs_code: str = ""
    origin_region_code: str = ""
    status: int = 0


class StoredProduct(msgspec.Struct, frozen=True, gc=False):
    """A product as it stands in the catalog; `version` counts its changes from 1."""

    product: Product
    version: int
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return etag_of(self.version)


def validated(draft: ProductDraft) -> Product:
    """The product in normal form; raises the InvalidArgument of its first fault, by field order."""
    return Product(
        product_id=checks.product_id(draft.product_id),
        merchant_id=checks.merchant_id(draft.merchant_id),
        titles=_titles(draft.titles),
        descriptions=checks.by_language(
            draft.descriptions,
            "descriptions",
            entries_max=DESCRIPTIONS_MAX,
            chars_max=DESCRIPTION_CHARS_MAX,
        ),
        category=checks.category(draft.category),
        hs_code=checks.hs_code(draft.hs_code),
        origin_region_code=checks.region_code(draft.origin_region_code, "origin_region_code"),
        status=status(draft.status),
        variants=_variants(draft.variants),
    )


def status(value: int) -> int:
    """A status of the contract, UNSPECIFIED included."""
    if value not in _STATUSES:
        raise FieldInvalid("status", "a status of the contract")
    return value


def etag_of(version: int) -> str:
    """The etag of a product at a version."""
    return str(version)


def content_hash(product: Product) -> bytes:
    """Stands for the content without the status, which an upsert may leave as it is.

    Raises FieldInvalid where the content as a whole is too large to travel as one event.
    """
    content = (
        product.merchant_id,
        product.titles,
        product.descriptions,
        product.category,
        product.hs_code,
        product.origin_region_code,
        product.variants,
    )
    encoded = msgspec.json.encode(content)
    if len(encoded) > CONTENT_BYTES_MAX:
        raise FieldInvalid("product", f"at most {CONTENT_BYTES_MAX:,} bytes in all")
    return blake2b(encoded, digest_size=CONTENT_HASH_BYTES).digest()


def request_fingerprint(product: Product) -> bytes:
    """Stands for everything that a creation states."""
    return blake2b(msgspec.json.encode(product), digest_size=CONTENT_HASH_BYTES).digest()


def with_status(product: Product, value: int) -> Product:
    """The same product with another status."""
    return product if product.status == value else msgspec.structs.replace(product, status=value)


def _titles(titles: Mapping[str, str]) -> dict[str, str]:
    if not titles:
        raise FieldRequired("titles")
    return checks.by_language(titles, "titles", entries_max=TITLES_MAX, chars_max=TITLE_CHARS_MAX)


def _variants(drafts: Sequence[VariantDraft]) -> tuple[Variant, ...]:
    if not drafts:
        raise FieldRequired("variants")
    if len(drafts) > VARIANTS_MAX:
        raise TooManyItems("variants", VARIANTS_MAX)
    variants = tuple(map(_validated_variant, drafts, range(len(drafts))))
    if len(variants) > 1:
        _refuse_repeated_skus(variants)
    return variants


def _validated_variant(draft: VariantDraft, index: int) -> Variant:
    try:
        return Variant(
            sku=checks.sku(draft.sku, "sku"),
            gtin=checks.gtin(draft.gtin, "gtin") if draft.gtin else "",
            options=_options(draft.options) if draft.options else {},
            prices=_prices(draft.prices),
            weight_grams=checks.whole(draft.weight_grams, "weight_grams", maximum=WEIGHT_GRAMS_MAX),
            length_mm=checks.whole(draft.length_mm, "dimensions.length_mm", maximum=LENGTH_MM_MAX),
            width_mm=checks.whole(draft.width_mm, "dimensions.width_mm", maximum=LENGTH_MM_MAX),
            height_mm=checks.whole(draft.height_mm, "dimensions.height_mm", maximum=LENGTH_MM_MAX),
            hazards=_hazards(draft.hazards) if draft.hazards else (),
        )
    except InvalidArgument as error:
        raise _below(error, f"variants[{index}]") from error


def _options(options: Mapping[str, str]) -> dict[str, str]:
    if len(options) > OPTIONS_MAX:
        raise TooManyItems("options", OPTIONS_MAX)
    for name, value in options.items():
        checks.line(name, "options", chars_max=OPTION_NAME_CHARS_MAX)
        checks.line(value, "options", chars_max=OPTION_VALUE_CHARS_MAX)
    return _sorted(options)


def _prices(prices: Sequence[tuple[str, int, int]]) -> dict[str, int]:
    if not prices:
        raise FieldRequired("prices")
    if len(prices) > PRICES_MAX:
        raise TooManyItems("prices", PRICES_MAX)
    minor_by_currency: dict[str, int] = {}
    for index, (currency_code, units, nanos) in enumerate(prices):
        if currency_code in minor_by_currency:
            raise FieldInvalid(f"prices[{index}]", "the only price in its currency")
        minor_by_currency[currency_code] = checks.price(currency_code, units, nanos, f"prices[{index}]")
    return _sorted(minor_by_currency)


def _hazards(hazards: Sequence[int]) -> tuple[int, ...]:
    for index, hazard in enumerate(hazards):
        if hazard not in _HAZARDS:
            raise FieldInvalid(f"hazards[{index}]", "a hazard of the contract")
    if len(set(hazards)) != len(hazards):
        raise FieldInvalid("hazards", "each stated once")
    return tuple(sorted(hazards))


def _refuse_repeated_skus(variants: Sequence[Variant]) -> None:
    seen = set[str]()
    for index, variant in enumerate(variants):
        if variant.sku in seen:
            raise FieldInvalid(f"variants[{index}].sku", "stated once in the product")
        seen.add(variant.sku)


def _sorted(values: Mapping[str, V]) -> dict[str, V]:
    return dict(sorted(values.items())) if len(values) > 1 else dict(values)


def _below(error: InvalidArgument, path: str) -> InvalidArgument:
    """The same fault seen from the product: its field's path begins with `path`."""
    field = f"{path}.{error.field}"
    message = f"{path}.{error.message}"
    return InvalidArgument(error.reason, message, metadata={**error.metadata, "field": field})
