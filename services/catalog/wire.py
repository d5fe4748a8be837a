"""Protobuf <-> domain, for the RPCs and for the events. No rules: what comes in is a draft, unchecked."""

import functools
from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb
from sampan.catalog.v1 import product_service_pb2 as pb

from services.catalog.domain.merchants import Merchant, StoredMerchant
from services.catalog.domain.products import ProductDraft, StoredProduct, Variant, VariantDraft
from services.chassis import money
from services.chassis.rpc import times


def product_draft(message: pb.Product, *, default_merchant_id: str = "") -> ProductDraft:
    """What a caller states; the fields that the service sets are ignored."""
    return ProductDraft(
        product_id=message.product_id,
        merchant_id=message.merchant_id or default_merchant_id,
        titles=dict(message.titles),
        descriptions=dict(message.descriptions),
        category=message.category,
        hs_code=message.hs_code,
        origin_region_code=message.origin_region_code,
        status=message.status,
        variants=[_variant_draft(variant) for variant in message.variants],
    )


def product_message(stored: StoredProduct) -> pb.Product:
    """A product as it is told to others."""
    product = stored.product
    return pb.Product(
        product_id=product.product_id,
        merchant_id=product.merchant_id,
        titles=product.titles,
        descriptions=product.descriptions,
        category=product.category,
        hs_code=product.hs_code,
        origin_region_code=product.origin_region_code,
        status=pb.ProductStatus.ValueType(product.status),
        variants=map(_variant_message, product.variants),
        version=stored.version,
        etag=stored.etag,
        create_time=_timestamp(stored.create_time),
        update_time=_timestamp(stored.update_time),
    )


def merchant(message: merchant_pb.Merchant) -> Merchant:
    """What a caller states; `create_time` is ignored."""
    return Merchant(message.merchant_id, message.display_name, message.region_code)


def merchant_message(stored: StoredMerchant) -> merchant_pb.Merchant:
    """A merchant as it is told to others."""
    return merchant_pb.Merchant(
        merchant_id=stored.merchant.merchant_id,
        display_name=stored.merchant.display_name,
        region_code=stored.merchant.region_code,
        create_time=_timestamp(stored.create_time),
    )


@functools.lru_cache(maxsize=1024)
def _timestamp(moment: datetime) -> Timestamp:
    """All rows of a chunk share their times. The message is shared too: it must not be changed."""
    return times.to_proto(moment)


def _variant_draft(message: pb.Variant) -> VariantDraft:
    draft = VariantDraft(
        sku=message.sku,
        gtin=message.gtin,
        options=dict(message.options),
        prices=[(price.currency_code, price.units, price.nanos) for price in message.prices],
        weight_grams=message.weight_grams,
        hazards=list(message.hazards),
    )
    if message.HasField("dimensions"):
        dimensions = message.dimensions
        draft.length_mm = dimensions.length_mm
        draft.width_mm = dimensions.width_mm
        draft.height_mm = dimensions.height_mm
    return draft


def _variant_message(variant: Variant) -> pb.Variant:
    message = pb.Variant(
        sku=variant.sku,
        gtin=variant.gtin,
        options=variant.options,
        prices=_prices(variant.prices.items()),
        weight_grams=variant.weight_grams,
        hazards=map(pb.Hazard.ValueType, variant.hazards),
    )
    if variant.length_mm or variant.width_mm or variant.height_mm:
        message.dimensions.length_mm = variant.length_mm
        message.dimensions.width_mm = variant.width_mm
        message.dimensions.height_mm = variant.height_mm
    return message


def _prices(minor_by_currency: Iterable[tuple[str, int]]) -> list[Money]:
    prices = []
    for currency_code, minor in minor_by_currency:
        units, nanos = money.units_and_nanos(minor, currency_code)
        prices.append(Money(currency_code=currency_code, units=units, nanos=nanos))
    return prices
