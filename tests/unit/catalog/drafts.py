"""Drafts that are right, to be made wrong in one place by each test."""

from typing import Any

import msgspec

from services.catalog.domain.products import ProductDraft, VariantDraft


def variant(**changed: Any) -> VariantDraft:
    """A variant that passes every check."""
    right = VariantDraft(
        sku="WIG-18-NB",
        gtin="4006381333931",
        options={"length": "18 inch", "colour": "natural black"},
        prices=[("USD", 129, 990_000_000), ("JPY", 19_800, 0)],
        weight_grams=320,
        length_mm=300,
        width_mm=200,
        height_mm=80,
        hazards=[],
    )
    return msgspec.structs.replace(right, **changed)


def product(**changed: Any) -> ProductDraft:
    """A product that passes every check."""
    right = ProductDraft(
        product_id="wig-bob.18",
        merchant_id="xuchang-hair",
        titles={"en": "Bob wig", "zh-CN": "波波头假发"},
        descriptions={"en": "Lace front.\nHuman hair."},
        category="hair/wigs",
        hs_code="670420",
        origin_region_code="CN",
        status=2,
        variants=[variant()],
    )
    return msgspec.structs.replace(right, **changed)
