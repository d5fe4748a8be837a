"""What a cart costs, from what the catalog said last. Minor units throughout, so that nothing is ever rounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from services.chassis import money
from services.orders.domain.placement import DEFAULT_LANGUAGE, Cart
from services.orders.errors import MerchantsMixed, PriceMissing, SkuUnknown, TotalChanged, TotalTooLarge


@dataclass(frozen=True, slots=True)
class Offer:
    """A SKU as the catalog last described it; prices in minor units by currency, titles by language tag."""

    product_id: str
    merchant_id: str
    titles: Mapping[str, str]
    prices: Mapping[str, int]
    hs_code: str
    origin_region_code: str
    weight_grams: int
    hazardous: bool
    on_sale: bool


class PricedLine(NamedTuple):
    """One line with all that is taken from the catalog at placement; money in minor units."""

    line_number: int
    sku: str
    product_id: str
    title: str
    quantity: int
    unit_price_minor: int
    amount_minor: int
    hs_code: str
    origin_region_code: str
    weight_grams: int
    hazardous: bool


class PricedCart(NamedTuple):
    """A cart with its prices; every line is of the one merchant."""

    merchant_id: str
    lines: list[PricedLine]
    total_minor: int


def price(cart: Cart, offers: Mapping[tuple[str, str], Offer]) -> PricedCart:
    """Prices a cart from the offers by (tenant_id, sku).

    Raises `SkuUnknown`, `PriceMissing`, `MerchantsMixed` or `TotalTooLarge` for the first line that fails.
    """
    lines: list[PricedLine] = []
    total_minor = 0
    merchant_id = ""
    for index, (sku, quantity) in enumerate(cart.lines):
        offer = offers.get((cart.tenant_id, sku))
        if offer is None or not offer.on_sale:
            raise SkuUnknown(index, sku)
        unit_price_minor = offer.prices.get(cart.currency_code)
        if unit_price_minor is None:
            raise PriceMissing(index, sku, cart.currency_code)
        if offer.merchant_id != merchant_id:
            if merchant_id:
                raise MerchantsMixed(index, (merchant_id, offer.merchant_id))
            merchant_id = offer.merchant_id
        amount_minor = unit_price_minor * quantity
        total_minor += amount_minor
        if total_minor > money.MINOR_MAX:
            raise TotalTooLarge(index)
        lines.append(
            PricedLine(
                index + 1,
                sku,
                offer.product_id,
                title_in(offer.titles, cart.language_code),
                quantity,
                unit_price_minor,
                amount_minor,
                offer.hs_code,
                offer.origin_region_code,
                offer.weight_grams,
                offer.hazardous,
            )
        )
    return PricedCart(merchant_id, lines, total_minor)


def check_expected(priced: PricedCart, expected: tuple[int, str] | None) -> None:
    """Raises `TotalChanged` where the caller counted on another total (minor units, currency code)."""
    if expected is not None and expected[0] != priced.total_minor:
        raise TotalChanged(money.format_minor(priced.total_minor, expected[1]), expected[1])


def title_in(titles: Mapping[str, str], language_code: str) -> str:
    """The title in the language; else in its base language ("zh-CN" -> "zh"), in English, in any."""
    title = titles.get(language_code)
    if title is not None:
        return title
    for tag in (language_code.partition("-")[0], DEFAULT_LANGUAGE):
        if tag in titles:
            return titles[tag]
    return titles[min(titles)] if titles else ""
