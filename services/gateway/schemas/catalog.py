"""Merchants and products."""

from typing import Annotated, Literal

from msgspec import Meta, field

from services.gateway.schemas.base import (
    INT32_MAX,
    OUTPUT_ONLY,
    Document,
    Etag,
    Moment,
    Money,
    NextPageToken,
    Region,
    Text,
    Version,
)

ProductStatusWord = Literal["draft", "active", "archived"]
HazardWord = Literal["lithium_battery", "liquid", "powder", "magnet", "flammable", "gas"]
ProductId = Annotated[
    str, Meta(max_length=256, description="1 to 64 of [A-Za-z0-9._~-], chosen by the caller.")
]
MerchantId = Annotated[
    str, Meta(max_length=256, description="1 to 40 of [a-z0-9-].", examples=["north-lights"])
]
Localised = Annotated[
    str, Meta(description="In the best language for Accept-Language.", extra_json_schema=OUTPUT_ONLY)
]
SetByServer = Annotated[Moment | None, Meta(description="Set by the service.", extra_json_schema=OUTPUT_ONLY)]


class Merchant(Document, kw_only=True):
    """A seller of the marketplace."""

    merchant_id: MerchantId
    display_name: Annotated[str, Meta(max_length=1000, description="1 to 200 characters.")]
    region_code: Region
    create_time: SetByServer = None


class MerchantPage(Document):
    """A page of merchants, in the order of their ids."""

    merchants: list[Merchant]
    next_page_token: NextPageToken


class Dimensions(Document):
    """Outer measures of one packed unit, in millimetres; 0 where unknown."""

    length_mm: Annotated[int, Meta(ge=0, le=INT32_MAX)] = 0
    width_mm: Annotated[int, Meta(ge=0, le=INT32_MAX)] = 0
    height_mm: Annotated[int, Meta(ge=0, le=INT32_MAX)] = 0


class Variant(Document, kw_only=True):
    """One sellable form of a product."""

    sku: Annotated[
        str, Meta(max_length=256, description="Unique in the marketplace, 1 to 64 printable characters.")
    ]
    gtin: Annotated[
        str, Meta(max_length=64, description="GTIN-8, -12, -13 or -14; empty where there is none.")
    ] = ""
    options: Annotated[dict[str, str], Meta(description="What sets it apart, at most 10.")] = field(
        default_factory=dict
    )
    prices: Annotated[list[Money], Meta(description="One per currency.")] = field(default_factory=list)
    weight_grams: Annotated[int, Meta(ge=0, le=INT32_MAX, description="Of one packed unit.")] = 0
    dimensions: Dimensions | None = None
    hazards: Annotated[list[HazardWord], Meta(description="What restricts its way; each at most once.")] = (
        field(default_factory=list)
    )


class Product(Document, kw_only=True):
    """What a merchant offers. What the service sets (version, etag, times, and the texts in one
    language) is ignored when sent."""

    product_id: ProductId = ""
    merchant_id: MerchantId = ""
    titles: Annotated[
        dict[str, str], Meta(description="By BCP 47 language tag.", examples=[{"en": "Silk wig"}])
    ] = field(default_factory=dict)
    descriptions: Annotated[dict[str, str], Meta(description="By BCP 47 language tag.")] = field(
        default_factory=dict
    )
    category: Annotated[Text, Meta(description="A path, as `hair/wigs`.")] = ""
    hs_code: Annotated[str, Meta(max_length=64, description="6 to 10 digits; empty where unknown.")] = ""
    origin_region_code: Annotated[
        str, Meta(max_length=64, description="Country of origin; empty where unknown.")
    ] = ""
    status: ProductStatusWord = "active"
    variants: Annotated[list[Variant], Meta(description="1 to 100.")] = field(default_factory=list)
    version: Version = 0
    etag: Etag = ""
    create_time: SetByServer = None
    update_time: SetByServer = None
    # The last ones: only they differ between the languages.
    title: Localised = ""
    description: Localised = ""
    language: Annotated[
        str,
        Meta(
            description="The BCP 47 tag of `title`, one of those of `titles`.", extra_json_schema=OUTPUT_ONLY
        ),
    ] = ""


class ProductPage(Document):
    """A page of products, in the order of their ids."""

    products: list[Product]
    next_page_token: NextPageToken


class ProductBatch(Document):
    """The products found of those asked for, in the order asked, and the ids that do not exist."""

    products: list[Product]
    missing: list[str]


class ProductIds(Document):
    """The products asked for."""

    ids: Annotated[
        list[Annotated[str, Meta(max_length=256)]],
        Meta(min_length=1, max_length=200, description="1 to 200."),
    ]


class ImportFault(Document):
    """A row that was not kept."""

    line: Annotated[int, Meta(description="The row's line in the body, from 1.")]
    field: Annotated[
        str, Meta(description="The faulty field, as `variants[0].gtin`; empty where it is the whole row.")
    ]
    reason: str
    message: str


class ImportReport(Document):
    """What became of an import: read = created + updated + unchanged + failed."""

    read: int
    created: int
    updated: int
    unchanged: int
    failed: int
    errors: Annotated[list[ImportFault], Meta(description="The first 1,000, in the order of their lines.")]
    errors_not_shown: Annotated[int, Meta(description="Failed rows beyond those.")]
