"""Merchants and products."""

from typing import Any

from google.type.money_pb2 import Money as MoneyProto
from sampan.catalog.v1 import merchant_service_pb2 as merchant_pb
from sampan.catalog.v1 import product_service_pb2 as pb

from services.gateway import languages
from services.gateway.schemas.catalog import Dimensions, Merchant, Product, Variant
from services.gateway.translate.values import Words, money_of, money_proto, time_of

STATUS = Words(pb.ProductStatus, "PRODUCT_STATUS_")
HAZARD = Words(pb.Hazard, "HAZARD_")


def merchant_of(message: merchant_pb.Merchant) -> Merchant:
    """A merchant for the public."""
    return Merchant(
        merchant_id=message.merchant_id,
        display_name=message.display_name,
        region_code=message.region_code,
        create_time=time_of(message, "create_time"),
    )


def merchant_proto(merchant: Merchant) -> merchant_pb.Merchant:
    """A merchant for the catalog."""
    return merchant_pb.Merchant(
        merchant_id=merchant.merchant_id, display_name=merchant.display_name, region_code=merchant.region_code
    )


def product_of(message: pb.Product) -> Product:
    """A product for the public, its texts in the default language or else in the first that it has.

    Maps are sorted, so that equal products give equal bytes.
    """
    language = languages.best((languages.DEFAULT,), tags := tuple(sorted(message.titles))) or next(
        iter(tags), ""
    )
    title, description = texts_in(message, language)
    return Product(
        product_id=message.product_id,
        merchant_id=message.merchant_id,
        titles=dict(sorted(message.titles.items())),
        descriptions=dict(sorted(message.descriptions.items())),
        category=message.category,
        hs_code=message.hs_code,
        origin_region_code=message.origin_region_code,
        status=STATUS.word(message.status),
        variants=[_variant_of(variant) for variant in message.variants],
        version=message.version,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
        title=title,
        description=description,
        language=language,
    )


def texts_in(message: pb.Product, language: str) -> tuple[str, str]:
    """The title in one of the product's languages, and the description that goes best with it; empty where none is."""
    tags = tuple(sorted(message.descriptions))
    described = languages.best((language.lower(), languages.DEFAULT), tags) or next(iter(tags), "")
    return message.titles.get(language, ""), message.descriptions.get(described, "")


def product_proto(product: Product) -> pb.Product:
    """A product for the catalog; what the service sets is left out."""
    return pb.Product(
        product_id=product.product_id,
        merchant_id=product.merchant_id,
        titles=product.titles,
        descriptions=product.descriptions,
        category=product.category,
        hs_code=product.hs_code,
        origin_region_code=product.origin_region_code,
        status=STATUS.number(product.status),
        variants=[_variant_proto(variant, index) for index, variant in enumerate(product.variants)],
    )


def _variant_of(message: pb.Variant) -> Variant:
    measures = message.dimensions
    return Variant(
        sku=message.sku,
        gtin=message.gtin,
        options=dict(sorted(message.options.items())),
        prices=[money_of(price) for price in message.prices],
        weight_grams=message.weight_grams,
        dimensions=Dimensions(measures.length_mm, measures.width_mm, measures.height_mm)
        if message.HasField("dimensions")
        else None,
        hazards=[HAZARD.word(hazard) for hazard in message.hazards],
    )


def _variant_proto(variant: Variant, index: int) -> pb.Variant:
    optional: dict[str, Any] = {}
    if variant.dimensions is not None:
        measures = variant.dimensions
        optional["dimensions"] = pb.Dimensions(
            length_mm=measures.length_mm, width_mm=measures.width_mm, height_mm=measures.height_mm
        )
    return pb.Variant(
        sku=variant.sku,
        gtin=variant.gtin,
        options=variant.options,
        prices=_prices(variant, index),
        weight_grams=variant.weight_grams,
        hazards=[HAZARD.number(hazard) for hazard in variant.hazards],
        **optional,
    )


def _prices(variant: Variant, index: int) -> list[MoneyProto]:
    return [
        money_proto(price, f"/variants/{index}/prices/{position}")
        for position, price in enumerate(variant.prices)
    ]
