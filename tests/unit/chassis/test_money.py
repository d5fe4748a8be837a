"""Laws of money in minor units."""

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import money
from services.chassis.errors import InvalidArgument
from services.chassis.rpc import money as wire

currencies = st.sampled_from(sorted(money.CURRENCIES))
minors = st.integers(-money.MINOR_MAX, money.MINOR_MAX)


@given(minors, currencies)
def test_every_amount_survives_every_representation(minor: int, currency: str) -> None:
    assert money.parse_minor(money.format_minor(minor, currency), currency) == minor
    assert money.minor_of(*money.units_and_nanos(minor, currency), currency) == minor
    assert wire.from_proto(wire.to_proto(minor, currency)) == (minor, currency)


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("IDR", 2), ("HUF", 2)])
def test_minor_units_are_those_of_iso_4217(currency: str, digits: int) -> None:
    assert money.minor_digits(currency) == digits


def test_every_code_is_known_to_cldr() -> None:
    assert set(Locale("en").currencies) >= money.CURRENCIES


@pytest.mark.parametrize("text", ["", "-", "1,5", "1e3", "NaN", " 1", "1.", ".5", "+1", "0x1", "1" * 21, "١"])
def test_only_plain_decimals_are_read(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        money.parse_minor(text, "EUR")
    assert refused.value.reason == "AMOUNT_INVALID"


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("1.234", "EUR", "AMOUNT_TOO_PRECISE"),
        ("1.5", "JPY", "AMOUNT_TOO_PRECISE"),
        ("99999999999999999999", "EUR", "AMOUNT_OUT_OF_RANGE"),
        ("1", "EURO", "CURRENCY_UNKNOWN"),
        ("1", "eur", "CURRENCY_UNKNOWN"),
        ("1", "XAU", "CURRENCY_UNKNOWN"),
    ],
)
def test_what_a_caller_wrote_is_never_rounded_or_guessed(text: str, currency: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        money.parse_minor(text, currency)
    assert refused.value.reason == reason


def test_trailing_zeros_beyond_the_currency_are_exact() -> None:
    assert money.parse_minor("1.500", "EUR") == 150


@pytest.mark.parametrize(("units", "nanos"), [(1, -1), (-1, 1), (0, 10**9), (0, 1), (2**63 - 1, 0)], ids=str)
def test_malformed_protobuf_money_is_refused(units: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument):
        money.minor_of(units, nanos, "EUR")
