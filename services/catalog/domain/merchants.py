"""Merchants: the sellers of a marketplace."""

from datetime import datetime

import msgspec

from services.catalog.domain import checks
from services.chassis.errors import FieldRequired

DISPLAY_NAME_CHARS_MAX = 200


class Merchant(msgspec.Struct, frozen=True, gc=False):
    """What a caller states about a seller."""

    merchant_id: str
    display_name: str
    region_code: str


class StoredMerchant(msgspec.Struct, frozen=True, gc=False):
    """A seller as it stands in the catalog."""

    merchant: Merchant
    create_time: datetime


def validated(merchant: Merchant) -> Merchant:
    """The same merchant; raises the InvalidArgument of the first fault."""
    checks.merchant_id(merchant.merchant_id)
    checks.line(merchant.display_name, "display_name", chars_max=DISPLAY_NAME_CHARS_MAX)
    if not merchant.region_code:
        raise FieldRequired("region_code")
    checks.region_code(merchant.region_code, "region_code")
    return merchant
