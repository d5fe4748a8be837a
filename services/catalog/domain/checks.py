"""The rules that single fields obey. Each function takes the value and the path it is reported under."""

import functools
import re
from collections.abc import Mapping

from stdnum import ean

from services.catalog.errors import CurrencyUnknown, GtinInvalid
from services.chassis import fields, money
from services.chassis.errors import FieldInvalid, FieldRequired, InvalidArgument, RegionUnknown, TooManyItems
from services.chassis.regions import REGIONS

SKU_CHARS_MAX = 64
CATEGORY_CHARS_MAX = 200
LANGUAGE_TAG_CHARS_MAX = 35
ETAG_CHARS_MAX = 32

_product_id = re.compile(r"[A-Za-z0-9._~-]{1,64}").fullmatch
_category = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)*").fullmatch
_hs_code = re.compile(r"[0-9]{6,10}").fullmatch
_gtin = re.compile(r"[0-9]{8}|[0-9]{12,14}").fullmatch
_control_in_text = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]").search
# RFC 5646: language, script, region, variants, extensions, private use; grandfathered tags are not taken.
_language_tag = re.compile(
    r"(?P<language>[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"
    r"(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?)",
    re.IGNORECASE | re.ASCII,
).fullmatch


def tenant_id(value: str) -> str:
    """The marketplace's id."""
    return fields.slug(value, "tenant_id")


def merchant_id(value: str) -> str:
    """The id of a seller."""
    return fields.slug(value, "merchant_id")


def product_id(value: str) -> str:
    """The id of a product."""
    return fields.formed(value, "product_id", "1 to 64 of [A-Za-z0-9._~-]", _product_id(value) is not None)


def can_be_product_id(value: str) -> bool:
    """Whether a product could have this id at all; where not, there is no need to look."""
    return _product_id(value) is not None


def can_be_merchant_id(value: str) -> bool:
    """Whether a merchant could have this id at all."""
    return fields.is_slug(value)


def etag(value: str) -> str:
    """What an update says it has read."""
    return fields.formed(value, "etag", "the etag of the product, or *", len(value) <= ETAG_CHARS_MAX)


def sku(value: str, field: str) -> str:
    """The id of a variant in its tenant; case-sensitive."""
    formed = (
        0 < len(value) <= SKU_CHARS_MAX
        and value.isprintable()
        and "/" not in value
        and value[0] != " "
        and value[-1] != " "
    )
    rule = f'1 to {SKU_CHARS_MAX} printable characters without "/" and without a space at either end'
    return fields.formed(value, field, rule, formed)


def gtin(value: str, field: str) -> str:
    """Empty, or a GTIN of 8, 12, 13 or 14 digits whose last one is right."""
    if value and (_gtin(value) is None or ean.calc_check_digit(value[:-1]) != value[-1]):
        raise GtinInvalid(field)
    return value


def category(value: str, field: str = "category") -> str:
    """Empty, or names joined by slashes."""
    if value and (len(value) > CATEGORY_CHARS_MAX or _category(value) is None):
        raise FieldInvalid(field, f"a path such as hair/wigs, at most {CATEGORY_CHARS_MAX} of [a-z0-9/-]")
    return value


def hs_code(value: str) -> str:
    """Empty, or a Harmonized System code."""
    if value and _hs_code(value) is None:
        raise FieldInvalid("hs_code", "6 to 10 digits")
    return value


def region_code(value: str, field: str) -> str:
    """Empty, or a country of ISO 3166-1."""
    if value and value not in REGIONS:
        raise RegionUnknown(field)
    return value


@functools.lru_cache(maxsize=1024)
def canonical_language_tag(value: str) -> str | None:
    """The tag in the letter case of RFC 5646 ("ZH-hans-cn" -> "zh-Hans-CN"), None where it is malformed."""
    match = _language_tag(value) if len(value) <= LANGUAGE_TAG_CHARS_MAX else None
    if match is None:
        return None
    parts = [match["language"].lower()]
    if match["script"]:
        parts.append(match["script"].title())
    if match["region"]:
        parts.append(match["region"].upper())
    return "-".join(parts) + match["rest"].lower()


def by_language(texts: Mapping[str, str], field: str, *, entries_max: int, chars_max: int) -> dict[str, str]:
    """Texts by language tag, in the order of their tags. Lines have no control characters; longer texts may
    have tabs and line breaks."""
    if len(texts) > entries_max:
        raise TooManyItems(field, entries_max)
    control = fields.has_control if chars_max <= 500 else _control_in_text
    checked: dict[str, str] = {}
    for given, text in texts.items():
        tag = canonical_language_tag(given)
        if tag is None:
            raise FieldInvalid(field, 'keyed by BCP 47 language tags, as "en" or "zh-CN"')
        if tag in checked:
            raise FieldInvalid(field, f"stated once for the language {tag}")
        if not text or len(text) > chars_max or control(text):
            raise FieldInvalid(f"{field}.{tag}", f"1 to {chars_max} characters without control characters")
        checked[tag] = text
    return dict(sorted(checked.items())) if len(checked) > 1 else checked


def line(value: str, field: str, *, chars_max: int) -> str:
    """A text of one line."""
    formed = len(value) <= chars_max and not value.isspace() and not fields.has_control(value)
    return fields.formed(value, field, f"1 to {chars_max} characters without control characters", formed)


def whole(value: int, field: str, *, maximum: int) -> int:
    """A measure from 0 to `maximum`."""
    if not 0 <= value <= maximum:
        raise FieldInvalid(field, f"0 to {maximum:,}")
    return value


def price(currency_code: str, units: int, nanos: int, field: str) -> int:
    """The minor units of a price: not negative, exact in its currency."""
    if currency_code not in money.CURRENCIES:
        if not currency_code:
            raise FieldRequired(f"{field}.currency_code")
        raise CurrencyUnknown(f"{field}.currency_code")
    try:
        minor = money.minor_of(units, nanos, currency_code)
    except InvalidArgument as error:
        digits = money.minor_digits(currency_code)
        rule = f"an amount of {currency_code} with at most {digits} decimal places"
        raise FieldInvalid(field, rule) from error
    if minor < 0:
        raise FieldInvalid(field, "0 or more")
    return minor
