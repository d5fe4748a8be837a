"""Prices come from offers alone and add up exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import money
from services.orders.domain.placement import Cart
from services.orders.domain.pricing import Offer, check_expected, price, title_in
from services.orders.errors import MerchantsMixed, PriceMissing, SkuUnknown, TotalChanged, TotalTooLarge

TENANT = "fair"


def offer_of(minor: int, *, merchant_id: str = "m", on_sale: bool = True, currency: str = "EUR") -> Offer:
    """An offer with one price."""
    return Offer("p", merchant_id, {"en": "Wig"}, {currency: minor}, "670420", "CN", 320, False, on_sale)


def cart_of(lines: list[tuple[str, int]], currency: str = "EUR") -> Cart:
    """A cart."""
    return Cart(TENANT, currency, lines, "en")


lines = st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 1_000_000)), min_size=1, max_size=50)
prices = st.fixed_dictionaries({sku: st.integers(0, 10**9) for sku in "ABCD"})


@given(lines, prices)
def test_totals_add_up(lines: list[tuple[str, int]], minor: dict[str, int]) -> None:
    offers = {(TENANT, sku): offer_of(value) for sku, value in minor.items()}
    priced = price(cart_of(lines), offers)
    assert [(line.sku, line.quantity) for line in priced.lines] == lines
    assert [line.line_number for line in priced.lines] == list(range(1, len(lines) + 1))
    assert all(line.amount_minor == minor[line.sku] * line.quantity for line in priced.lines)
    assert priced.total_minor == sum(line.amount_minor for line in priced.lines)


@given(lines, prices)
def test_splitting_a_line_does_not_change_the_total(
    lines: list[tuple[str, int]], minor: dict[str, int]
) -> None:
    offers = {(TENANT, sku): offer_of(value) for sku, value in minor.items()}
    whole = price(cart_of(lines), offers).total_minor
    sku, quantity = lines[0]
    if quantity > 1:
        split = [(sku, 1), *lines[1:], (sku, quantity - 1)]
        assert price(cart_of(split), offers).total_minor == whole


@given(lines, prices, st.integers(0, 10**18))
def test_only_the_right_expectation_passes(
    lines: list[tuple[str, int]], minor: dict[str, int], expected: int
) -> None:
    priced = price(cart_of(lines), {(TENANT, sku): offer_of(value) for sku, value in minor.items()})
    check_expected(priced, None)
    check_expected(priced, (priced.total_minor, "EUR"))
    if expected != priced.total_minor:
        with pytest.raises(TotalChanged) as caught:
            check_expected(priced, (expected, "EUR"))
        told = caught.value.metadata["total"]
        assert money.parse_minor(told, "EUR") == priced.total_minor


def test_each_refusal_names_its_line() -> None:
    offers = {
        (TENANT, "A"): offer_of(100),
        (TENANT, "OTHER"): offer_of(100, merchant_id="n"),
        (TENANT, "YEN"): offer_of(100, currency="JPY"),
        (TENANT, "OFF"): offer_of(100, on_sale=False),
        (TENANT, "DEAR"): offer_of(money.MINOR_MAX),
        ("elsewhere", "THEIRS"): offer_of(100),
    }
    for sku, refusal in (
        ("OTHER", MerchantsMixed),
        ("YEN", PriceMissing),
        ("OFF", SkuUnknown),
        ("NOSUCH", SkuUnknown),
        ("THEIRS", SkuUnknown),
        ("DEAR", TotalTooLarge),
    ):
        with pytest.raises(refusal) as caught:
            price(cart_of([("A", 1), (sku, 1)]), offers)
        assert (caught.value.field or "").startswith("lines[1]."), sku


def test_the_greatest_total_is_allowed() -> None:
    offers = {(TENANT, "A"): offer_of(money.MINOR_MAX)}
    assert price(cart_of([("A", 1)]), offers).total_minor == money.MINOR_MAX


def test_titles_fall_back() -> None:
    titles = {"en": "Wig", "zh": "假发", "pt-BR": "Peruca"}
    assert title_in(titles, "pt-BR") == "Peruca"
    assert title_in(titles, "zh-CN") == "假发"
    assert title_in(titles, "th") == "Wig"
    assert title_in({"th": "วิก", "fr": "Perruque"}, "de") == "Perruque"
    assert title_in({}, "en") == ""
