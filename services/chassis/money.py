"""Money as whole minor units (cents, fils, yen) of a currency; pure arithmetic, no rounding, no floats.

Minor units are those of ISO 4217. CLDR (babel) and many shops differ for some currencies, such as IDR or
HUF, because nobody mints their coins; books and payment providers follow ISO, and so do we.
`google.type.Money` is read and written in `services.chassis.rpc.money`.
"""

import re
from decimal import Context, Decimal

from services.chassis.errors import InvalidArgument

MINOR_MAX = 2**63 - 1
NANOS_PER_UNIT = 1_000_000_000

_DIGITS_OTHER_THAN_TWO = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP
CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR
IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN
NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_MINOR_DIGITS = dict.fromkeys(_TWO_DIGITS.split(), 2) | {
    code: digits for digits, codes in _DIGITS_OTHER_THAN_TWO.items() for code in codes.split()
}
CURRENCIES = frozenset(_MINOR_DIGITS)
"""The ISO 4217 codes that money can be in: circulating currencies, neither funds nor metals."""

_exact = Context(prec=60)
_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")


def minor_digits(currency_code: str) -> int:
    """Decimal places of a currency: EUR 2, JPY 0, KWD 3. Raises InvalidArgument CURRENCY_UNKNOWN."""
    try:
        return _MINOR_DIGITS[currency_code]
    except KeyError:
        raise InvalidArgument(
            "CURRENCY_UNKNOWN", "not the code of a circulating currency (ISO 4217)", field="currency_code"
        ) from None


def from_minor(minor: int, currency_code: str) -> Decimal:
    """The amount as a decimal with exactly the currency's places: 12345 EUR -> 123.45, 500 JPY -> 500."""
    return Decimal(minor).scaleb(-minor_digits(currency_code), _exact)


def format_minor(minor: int, currency_code: str) -> str:
    """The decimal string of the public API: 5 EUR -> "0.05", 500 JPY -> "500"."""
    return format(from_minor(minor, currency_code), "f")


def parse_minor(text: str, currency_code: str) -> int:
    """Reads a decimal string exactly; raises InvalidArgument rather than round what a caller wrote.

    AMOUNT_INVALID for what is no plain decimal number, AMOUNT_TOO_PRECISE for more places than the currency
    has, AMOUNT_OUT_OF_RANGE beyond 64 bits of minor units.
    """
    digits = minor_digits(currency_code)
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise InvalidArgument("AMOUNT_INVALID", "not a plain decimal number", field="amount")
    shifted = Decimal(text).scaleb(digits, _exact)
    if shifted != shifted.to_integral_value():
        raise InvalidArgument(
            "AMOUNT_TOO_PRECISE", f"{currency_code} has {digits} decimal places", field="amount"
        )
    return _bounded(int(shifted))


def units_and_nanos(minor: int, currency_code: str) -> tuple[int, int]:
    """The two numbers of google.type.Money; both carry the sign."""
    scale = 10 ** minor_digits(currency_code)
    units, rest = divmod(abs(minor), scale)
    sign = -1 if minor < 0 else 1
    return sign * units, sign * rest * (NANOS_PER_UNIT // scale)


def minor_of(units: int, nanos: int, currency_code: str) -> int:
    """The inverse of `units_and_nanos`; finer than the minor unit is refused, as are mixed signs."""
    scale = 10 ** minor_digits(currency_code)
    if abs(nanos) >= NANOS_PER_UNIT or units * nanos < 0:
        raise InvalidArgument(
            "AMOUNT_INVALID", "nanos out of range or of another sign than units", field="nanos"
        )
    rest, too_fine = divmod(abs(nanos), NANOS_PER_UNIT // scale)
    if too_fine:
        raise InvalidArgument("AMOUNT_TOO_PRECISE", "finer than the currency's minor unit", field="nanos")
    sign = -1 if units < 0 or nanos < 0 else 1
    return _bounded(sign * (abs(units) * scale + rest))


def _bounded(minor: int) -> int:
    if abs(minor) > MINOR_MAX:
        raise InvalidArgument("AMOUNT_OUT_OF_RANGE", "beyond 64 bits of minor units", field="amount")
    return minor
