"""What makes a product valid, and that one meaning has one normal form."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.catalog.domain import checks, products
from services.chassis import money
from services.chassis.errors import InvalidArgument
from tests.unit.catalog.drafts import product, variant


def fault(**changed: Any) -> tuple[str, str | None]:
    """Reason and field of the fault in a product with these changes."""
    with pytest.raises(InvalidArgument) as caught:
        products.validated(product(**changed))
    assert caught.value.message
    return caught.value.reason, caught.value.field


def variant_fault(**changed: Any) -> tuple[str, str | None]:
    """Reason and field of the fault in the second of two variants with these changes."""
    return fault(variants=[variant(sku="OTHER"), variant(**changed)])


def gtin_of(body: str) -> str:
    """The GTIN with its check digit by GS1's general specifications: weights 3, 1, 3, ... from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


def test_a_right_product_passes_in_normal_form() -> None:
    kept = products.validated(product())
    assert kept.variants[0].prices == {"JPY": 19_800, "USD": 12_999}
    assert list(kept.variants[0].options) == ["colour", "length"]


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"product_id": ""}, "FIELD_REQUIRED", "product_id"),
        ({"product_id": "a b"}, "FIELD_INVALID", "product_id"),
        ({"product_id": "p\n"}, "FIELD_INVALID", "product_id"),
        ({"product_id": "x" * 65}, "FIELD_INVALID", "product_id"),
        ({"product_id": "é"}, "FIELD_INVALID", "product_id"),
        ({"merchant_id": ""}, "FIELD_REQUIRED", "merchant_id"),
        ({"merchant_id": "Xuchang"}, "FIELD_INVALID", "merchant_id"),
        ({"merchant_id": "x" * 41}, "FIELD_INVALID", "merchant_id"),
        ({"titles": {}}, "FIELD_REQUIRED", "titles"),
        ({"titles": {"en": ""}}, "FIELD_INVALID", "titles.en"),
        ({"titles": {"en": "x" * 501}}, "FIELD_INVALID", "titles.en"),
        ({"titles": {"en": "two\nlines"}}, "FIELD_INVALID", "titles.en"),
        ({"titles": {"english!": "x"}}, "FIELD_INVALID", "titles"),
        ({"titles": {"en": "x", "EN": "y"}}, "FIELD_INVALID", "titles"),
        ({"titles": {f"en-x-a{n}": "x" for n in range(31)}}, "TOO_MANY_ITEMS", "titles"),
        ({"descriptions": {"en": "NUL \0"}}, "FIELD_INVALID", "descriptions.en"),
        ({"descriptions": {"en": "x" * 20_001}}, "FIELD_INVALID", "descriptions.en"),
        ({"category": "Hair"}, "FIELD_INVALID", "category"),
        ({"category": "hair//wigs"}, "FIELD_INVALID", "category"),
        ({"category": "/hair"}, "FIELD_INVALID", "category"),
        ({"category": "h" * 201}, "FIELD_INVALID", "category"),
        ({"hs_code": "6704.20"}, "FIELD_INVALID", "hs_code"),
        ({"hs_code": "67042"}, "FIELD_INVALID", "hs_code"),
        ({"hs_code": "67042000000"}, "FIELD_INVALID", "hs_code"),
        ({"hs_code": "٦٧٠٤٢٠"}, "FIELD_INVALID", "hs_code"),
        ({"origin_region_code": "XX"}, "REGION_UNKNOWN", "origin_region_code"),
        ({"origin_region_code": "cn"}, "REGION_UNKNOWN", "origin_region_code"),
        ({"status": 4}, "FIELD_INVALID", "status"),
        ({"status": -1}, "FIELD_INVALID", "status"),
        ({"variants": []}, "FIELD_REQUIRED", "variants"),
        ({"variants": [variant()] * 101}, "TOO_MANY_ITEMS", "variants"),
        ({"variants": [variant(), variant()]}, "FIELD_INVALID", "variants[1].sku"),
    ],
)
def test_faults_of_a_product(changed: dict[str, Any], reason: str, field: str) -> None:
    assert fault(**changed) == (reason, field)


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"sku": ""}, "FIELD_REQUIRED", "sku"),
        ({"sku": "a/b"}, "FIELD_INVALID", "sku"),
        ({"sku": " a"}, "FIELD_INVALID", "sku"),
        ({"sku": "a "}, "FIELD_INVALID", "sku"),
        ({"sku": " "}, "FIELD_INVALID", "sku"),
        ({"sku": "a\u200bb"}, "FIELD_INVALID", "sku"),
        ({"sku": "x" * 65}, "FIELD_INVALID", "sku"),
        ({"gtin": "4006381333932"}, "GTIN_INVALID", "gtin"),
        ({"gtin": "40063813339"}, "GTIN_INVALID", "gtin"),
        ({"gtin": "978-0-471-11709-4"}, "GTIN_INVALID", "gtin"),
        ({"gtin": "٤٠٠٦٣٨١٣٣٣٩٣١"}, "GTIN_INVALID", "gtin"),
        ({"options": {f"o{n}": "v" for n in range(11)}}, "TOO_MANY_ITEMS", "options"),
        ({"options": {"": "v"}}, "FIELD_REQUIRED", "options"),
        ({"options": {"colour": "re\0d"}}, "FIELD_INVALID", "options"),
        ({"prices": []}, "FIELD_REQUIRED", "prices"),
        ({"prices": [("", 1, 0)]}, "FIELD_REQUIRED", "prices[0].currency_code"),
        ({"prices": [("USD", 1, 0), ("usd", 1, 0)]}, "CURRENCY_UNKNOWN", "prices[1].currency_code"),
        ({"prices": [("USD", 1, 0), ("USD", 2, 0)]}, "FIELD_INVALID", "prices[1]"),
        ({"prices": [("USD", -1, 0)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("USD", 0, -10_000_000)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("USD", 1, -10_000_000)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("USD", 1, 5_000_000)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("JPY", 1, 500_000_000)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("USD", 2**63 - 1, 0)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [("USD", 1, 1_000_000_000)]}, "FIELD_INVALID", "prices[0]"),
        ({"prices": [(f"C{n:02}", 1, 0) for n in range(51)]}, "TOO_MANY_ITEMS", "prices"),
        ({"weight_grams": -1}, "FIELD_INVALID", "weight_grams"),
        ({"weight_grams": 1_000_001}, "FIELD_INVALID", "weight_grams"),
        ({"length_mm": -1}, "FIELD_INVALID", "dimensions.length_mm"),
        ({"width_mm": 100_001}, "FIELD_INVALID", "dimensions.width_mm"),
        ({"height_mm": 2**31 - 1}, "FIELD_INVALID", "dimensions.height_mm"),
        ({"hazards": [0]}, "FIELD_INVALID", "hazards[0]"),
        ({"hazards": [1, 7]}, "FIELD_INVALID", "hazards[1]"),
        ({"hazards": [1, 1]}, "FIELD_INVALID", "hazards"),
    ],
)
def test_faults_of_a_variant_name_its_place(changed: dict[str, Any], reason: str, field: str) -> None:
    assert variant_fault(**changed) == (reason, f"variants[1].{field}")


def test_messages_name_the_whole_path() -> None:
    with pytest.raises(InvalidArgument, match=r"variants\[0\]\.weight_grams must be 0 to 1,000,000"):
        products.validated(product(variants=[variant(weight_grams=-1)]))


def test_content_that_no_event_could_carry_is_refused() -> None:
    tags = [f"en-x-a{number}" for number in range(30)]
    draft = product(descriptions=dict.fromkeys(tags, "語" * 20_000))
    with pytest.raises(InvalidArgument) as caught:
        products.content_hash(products.validated(draft))
    assert caught.value.reason == "FIELD_INVALID"


@pytest.mark.parametrize("code", ["CN", "TH", "ES", "US", "MX"])
def test_countries_are_known(code: str) -> None:
    assert checks.region_code(code, "x") == code


@pytest.mark.parametrize(
    ("given_tag", "canonical"),
    [
        ("en", "en"),
        ("ZH-cn", "zh-CN"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("de-CH-1996", "de-CH-1996"),
        ("en-x-demo", "en-x-demo"),
        ("e", None),
        ("en_US", None),
        ("en-", None),
        ("", None),
        ("en-" + "abcdefgh-" * 6 + "a", None),
    ],
)
def test_language_tags(given_tag: str, canonical: str | None) -> None:
    assert checks.canonical_language_tag(given_tag) == canonical


@given(
    st.sampled_from([7, 11, 12, 13]).flatmap(lambda size: st.text("0123456789", min_size=size, max_size=size))
)
def test_exactly_one_check_digit_is_right(body: str) -> None:
    right = gtin_of(body)
    assert checks.gtin(right, "gtin") == right
    for digit in set("0123456789") - {right[-1]}:
        with pytest.raises(InvalidArgument):
            checks.gtin(body + digit, "gtin")


@given(st.text(max_size=20))
def test_what_is_no_gtin_is_refused(text: str) -> None:
    by_the_book = (
        len(text) in (8, 12, 13, 14) and text.isascii() and text.isdigit() and gtin_of(text[:-1]) == text
    )
    if text and not by_the_book:
        with pytest.raises(InvalidArgument):
            checks.gtin(text, "gtin")
    else:
        assert checks.gtin(text, "gtin") == text


@given(
    st.sampled_from(sorted(money.CURRENCIES)),
    st.integers(0, 10**12),
    st.integers(0, 999_999_999),
)
@example("JPY", 0, 1)
@example("KWD", 1, 1_000_000)
@example("EUR", 0, 10_000_000)
def test_a_price_is_exact_or_refused(currency_code: str, units: int, nanos: int) -> None:
    amount = units + Decimal(nanos).scaleb(-9)
    minor = amount.scaleb(money.minor_digits(currency_code))
    if minor == minor.to_integral_value():
        assert checks.price(currency_code, units, nanos, "price") == minor
    else:
        with pytest.raises(InvalidArgument):
            checks.price(currency_code, units, nanos, "price")


@given(st.text(max_size=70))
def test_a_sku_is_kept_as_it_is_or_refused(text: str) -> None:
    try:
        assert checks.sku(text, "sku") == text
    except InvalidArgument:
        return
    assert text == text.strip(" ")
    assert text.isprintable()
    assert 1 <= len(text) <= 64


@given(st.permutations(["USD", "EUR", "JPY"]), st.permutations(["a", "b", "c"]), st.permutations([1, 3, 5]))
def test_order_of_what_has_none_makes_no_difference(
    currencies: list[str], names: list[str], hazards: list[int]
) -> None:
    def stated(currencies: list[str], names: list[str], hazards: list[int]) -> products.Product:
        return products.validated(
            product(
                titles=dict.fromkeys(["de" if name == "a" else f"en-x-{name}" for name in names], "x"),
                variants=[
                    variant(
                        prices=[(code, 5, 0) for code in currencies],
                        options=dict.fromkeys(names, "v"),
                        hazards=hazards,
                    )
                ],
            )
        )

    one = stated(currencies, names, hazards)
    other = stated(["USD", "EUR", "JPY"], ["a", "b", "c"], [1, 3, 5])
    assert products.content_hash(one) == products.content_hash(other)
    assert products.request_fingerprint(one) == products.request_fingerprint(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"titles": {"en": "Other"}},
        {"descriptions": {}},
        {"category": ""},
        {"hs_code": ""},
        {"origin_region_code": "TH"},
        {"variants": [variant(gtin="")]},
        {"variants": [variant(weight_grams=321)]},
        {"variants": [variant(prices=[("USD", 129, 980_000_000), ("JPY", 19_800, 0)])]},
        {"variants": [variant(hazards=[1])]},
        {"variants": [variant(), variant(sku="B")]},
    ],
)
def test_another_content_has_another_hash(changed: dict[str, Any]) -> None:
    assert products.content_hash(products.validated(product(**changed))) != products.content_hash(
        products.validated(product())
    )


def test_the_order_of_variants_counts() -> None:
    one = products.validated(product(variants=[variant(sku="A"), variant(sku="B")]))
    other = products.validated(product(variants=[variant(sku="B"), variant(sku="A")]))
    assert products.content_hash(one) != products.content_hash(other)
