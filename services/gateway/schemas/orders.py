"""Orders, quotes and their history."""

from typing import Annotated, Literal

from msgspec import Meta, field

from services.gateway.schemas.base import (
    INT32_MAX,
    Currency,
    Document,
    Moment,
    Money,
    NextPageToken,
    Quantity,
    Region,
)

OrderStateWord = Literal[
    "pending",
    "awaiting_payment",
    "confirmed",
    "fulfilling",
    "shipped",
    "delivered",
    "cancelling",
    "cancelled",
    "expired",
    "rejected",
]
PaymentTermsWord = Literal["prepaid", "pay_later"]
PaymentStateWord = Literal[
    "none",
    "pending",
    "authorised",
    "captured",
    "declined",
    "refund_pending",
    "refunded",
    "capture_failed",
]
OrderParcelStateWord = Literal["allocated", "packed", "shipped", "delivered", "cancelled"]
Language = Annotated[
    str, Meta(max_length=100, description="BCP 47 tag for the lines' titles; `en` where empty.")
]
# The bounds of orders, held here already: an order travels with those of other tenants in one call.
AddressText = Annotated[str, Meta(max_length=300)]
AddressTexts = Annotated[list[AddressText], Meta(max_length=10, description="At most 10.")]


class Address(Document, kw_only=True):
    """A postal address; only the country is always needed. Every text has at most 300 characters."""

    region_code: Region
    language_code: AddressText = ""
    postal_code: AddressText = ""
    sorting_code: AddressText = ""
    administrative_area: AddressText = ""
    locality: AddressText = ""
    sublocality: AddressText = ""
    address_lines: AddressTexts = field(default_factory=list)
    recipients: AddressTexts = field(default_factory=list)
    organization: AddressText = ""


class LineRequest(Document):
    """One line asked for; prices are never taken from here."""

    sku: Annotated[str, Meta(min_length=1, max_length=64)]
    quantity: Quantity


Lines = Annotated[
    list[LineRequest], Meta(min_length=1, max_length=2000, description="1 to 2,000, of one merchant.")
]


class PlaceOrder(Document, kw_only=True):
    """An order asked for."""

    buyer_ref: Annotated[
        str, Meta(max_length=1000, description="The storefront's name for the buyer, 1 to 128 characters.")
    ]
    currency_code: Currency
    lines: Lines
    ship_to: Address
    payment_terms: PaymentTermsWord
    payment_window_s: (
        Annotated[
            int,
            Meta(
                ge=-INT32_MAX,
                le=INT32_MAX,
                description="For `pay_later`: seconds to pay in, 60 to 2,592,000.",
            ),
        ]
        | None
    ) = None
    expected_total: Annotated[
        Money | None,
        Meta(description="Where given and not the total found, the order is refused as TOTAL_CHANGED."),
    ] = None
    language_code: Language = ""


class QuoteCart(Document, kw_only=True):
    """A cart to be priced."""

    currency_code: Currency
    lines: Lines
    language_code: Language = ""


class PayOrder(Document):
    """How the buyer pays."""

    payment_token: Annotated[
        str, Meta(min_length=1, max_length=1000, description="From the payment provider.")
    ]


class CancelOrder(Document):
    """Why an order is cancelled."""

    reason: Annotated[str, Meta(max_length=1000, description="At most 200 characters; no personal data.")] = (
        ""
    )


class OrderLine(Document):
    """One line, as priced at placement."""

    line_number: int
    sku: str
    product_id: str
    title: str
    quantity: int
    unit_price: Money
    amount: Money
    hs_code: str
    origin_region_code: str
    weight_grams: int


class OrderParcel(Document):
    """A parcel of an order, as the warehouse last said."""

    parcel_id: str
    warehouse_id: str
    state: OrderParcelStateWord | Literal["unspecified"]
    carrier: str
    tracking_number: str


class Order(Document):
    """An order."""

    order_id: str
    merchant_id: str
    buyer_ref: str
    state: OrderStateWord | Literal["unspecified"]
    version: int
    etag: str
    currency_code: str
    total: Money
    lines: list[OrderLine]
    ship_to: Address
    payment_terms: PaymentTermsWord | Literal["unspecified"]
    payment_expire_time: Moment | None
    payment_state: PaymentStateWord
    payment_id: str
    parcels: list[OrderParcel]
    reason: Annotated[
        str, Meta(description="Why it was rejected or cancelled, as a stable word; else empty.")
    ]
    sourcing: Annotated[str, Meta(description="How the stock was sourced, in words; empty before.")]
    create_time: Moment | None
    update_time: Moment | None


class OrderPage(Document):
    """A page of orders, newest first."""

    orders: list[Order]
    next_page_token: NextPageToken


class Quote(Document):
    """What a cart costs now."""

    merchant_id: str
    lines: list[OrderLine]
    total: Money


class OrderTransition(Document):
    """One transition of an order."""

    version: int
    from_state: Annotated[OrderStateWord | Literal["none"], Meta(description="`none` for the first entry.")]
    to_state: OrderStateWord | Literal["none"]
    cause: str
    detail: str
    time: Moment | None


class OrderHistory(Document):
    """Every transition, oldest first."""

    transitions: list[OrderTransition]


class OrderChange(Document):
    """The data of one event of an order's stream."""

    order_id: str
    version: int
    state: OrderStateWord | Literal["unspecified"]
    final: Annotated[bool, Meta(description="True where no other state follows; the stream ends.")]


class OrderNews(Document):
    """The data of an `order` event of the stream of all orders."""

    order_id: str
    merchant_id: str
    version: Annotated[int, Meta(description="The order's after the change, from 1 without gaps.")]
    state: OrderStateWord | Literal["unspecified"]
    final: Annotated[bool, Meta(description="True where no other state follows.")]


class OrderStreamReset(Document):
    """The data of a `reset` event: what was since the id that was sent cannot be told; read the orders again."""

    reason: Annotated[
        Literal["gone", "too_old"],
        Meta(description="`gone`: no longer kept, or never there; `too_old`: too much has been since."),
    ]
