"""What a caller asks for when placing an order, and the rules that hold whatever the catalog says.

The checks raise for the first fault they meet, with the path of the faulty field in the request.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.chassis import fields, money
from services.chassis.errors import FieldInvalid, FieldRequired, RegionUnknown
from services.chassis.regions import REGIONS
from services.orders.errors import QuantityInvalid, TooManyLines

LINES_MAX = 2_000
QUANTITY_MAX = 1_000_000
SKU_CHARS_MAX = 64
REQUEST_ID_CHARS_MAX = 255
BUYER_REF_CHARS_MAX = 128
MERCHANT_ID_CHARS_MAX = 40
ADDRESS_TEXT_CHARS_MAX = 300
ADDRESS_LINES_MAX = 10
LANGUAGE_CHARS_MAX = 35
PAYMENT_WINDOW_S_MIN = 60
PAYMENT_WINDOW_S_MAX = 30 * 24 * 3600
CANCEL_REASON_CHARS_MAX = 200
PAYMENT_TOKEN_CHARS_MAX = 512
DEFAULT_LANGUAGE = "en"

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class PaymentTerms(StrEnum):
    """When the buyer pays."""

    PREPAID = "PREPAID"
    PAY_LATER = "PAY_LATER"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the goods go; the fields of google.type.PostalAddress. Personal data: stored, never sent or logged."""

    region_code: str
    language_code: str = ""
    postal_code: str = ""
    sorting_code: str = ""
    administrative_area: str = ""
    locality: str = ""
    sublocality: str = ""
    address_lines: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Cart:
    """What decides prices: the lines as (sku, quantity), the currency and the language of the titles."""

    tenant_id: str
    currency_code: str
    lines: Sequence[tuple[str, int]]
    language_code: str


@dataclass(frozen=True, slots=True)
class Placement:
    """One order asked for. `digest` stands for the whole content, `payment_window_s` is 0 for the default.

    `sold_out_line` is the number, from 1, of a line that the caller knows to be sold out; 0 for none.
    """

    request_id: str
    digest: bytes
    cart: Cart
    buyer_ref: str
    ship_to: Address
    payment_terms: PaymentTerms
    payment_window_s: int
    expected_total: tuple[int, str] | None
    traceparent: str | None
    sold_out_line: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What a repetition is recognised by."""
        return self.cart.tenant_id, self.request_id


def check_tenant(tenant_id: str) -> None:
    """Raises unless the text can name a tenant."""
    fields.slug(tenant_id, "tenant_id")


def check_request_id(request_id: str) -> None:
    """Raises unless the text is 1 to 255 printable ASCII characters."""
    if not request_id:
        raise FieldRequired("request_id")
    if len(request_id) > REQUEST_ID_CHARS_MAX or not request_id.isascii() or not request_id.isprintable():
        raise FieldInvalid("request_id", f"1 to {REQUEST_ID_CHARS_MAX} printable ASCII characters")


def check_text(field: str, text: str, chars_max: int) -> None:
    """Raises unless the text is short enough and free of control characters."""
    if len(text) > chars_max or not is_plain(text):
        raise FieldInvalid(field, f"at most {chars_max} characters without control characters")


def is_plain(text: str) -> bool:
    """Whether the text has no control characters; a name may hold any printable script and joiners."""
    return text.isprintable() or not any(char < " " or "\x7f" <= char <= "\x9f" for char in text)


def check_cart(cart: Cart) -> None:
    """Raises for a cart that no catalog could price."""
    check_tenant(cart.tenant_id)
    if not cart.currency_code:
        raise FieldRequired("currency_code")
    money.minor_digits(cart.currency_code)
    if not cart.lines:
        raise FieldRequired("lines")
    if len(cart.lines) > LINES_MAX:
        raise TooManyLines(LINES_MAX)
    for index, (sku, quantity) in enumerate(cart.lines):
        if not 1 <= quantity <= QUANTITY_MAX:
            raise QuantityInvalid(f"lines[{index}].quantity", QUANTITY_MAX)
        if not sku:
            raise FieldRequired(f"lines[{index}].sku")
        if len(sku) > SKU_CHARS_MAX or not is_plain(sku):
            raise FieldInvalid(f"lines[{index}].sku", f"1 to {SKU_CHARS_MAX} printable characters")
    language = cart.language_code
    if len(language) > LANGUAGE_CHARS_MAX or not (
        language == DEFAULT_LANGUAGE or _LANGUAGE.fullmatch(language)
    ):
        raise FieldInvalid("language_code", "a BCP 47 language tag")


def check_address(address: Address) -> None:
    """Raises unless the destination is known and every text is bounded."""
    if not address.region_code:
        raise FieldRequired("ship_to.region_code")
    if address.region_code not in REGIONS:
        raise RegionUnknown("ship_to.region_code")
    for name in _ADDRESS_TEXTS:
        text = getattr(address, name)
        if text:
            check_text(f"ship_to.{name}", text, ADDRESS_TEXT_CHARS_MAX)
    for name, texts in (("address_lines", address.address_lines), ("recipients", address.recipients)):
        if len(texts) > ADDRESS_LINES_MAX:
            raise FieldInvalid(f"ship_to.{name}", f"at most {ADDRESS_LINES_MAX} entries")
        for index, text in enumerate(texts):
            check_text(f"ship_to.{name}[{index}]", text, ADDRESS_TEXT_CHARS_MAX)


_ADDRESS_TEXTS = (
    "language_code",
    "postal_code",
    "sorting_code",
    "administrative_area",
    "locality",
    "sublocality",
    "organization",
)


def check_placement(placement: Placement) -> None:
    """Raises for an order that could not be accepted whatever the catalog says."""
    check_request_id(placement.request_id)
    check_cart(placement.cart)
    if not placement.buyer_ref:
        raise FieldRequired("buyer_ref")
    check_text("buyer_ref", placement.buyer_ref, BUYER_REF_CHARS_MAX)
    check_address(placement.ship_to)
    window_s = placement.payment_window_s
    if (
        placement.payment_terms is PaymentTerms.PAY_LATER
        and window_s
        and not PAYMENT_WINDOW_S_MIN <= window_s <= PAYMENT_WINDOW_S_MAX
    ):
        raise FieldInvalid("payment_window", f"{PAYMENT_WINDOW_S_MIN} seconds to 30 days")
    if placement.expected_total is not None and placement.expected_total[1] != placement.cart.currency_code:
        raise FieldInvalid("expected_total.currency_code", "the order's currency_code")
