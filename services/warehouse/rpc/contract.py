"""What all services of the warehouse share: the checks of fields."""

from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import grpc

from services.chassis import fields, pages
from services.chassis.errors import FieldInvalid, FieldRequired, InvalidArgument, RegionUnknown, TooManyItems
from services.chassis.regions import REGIONS
from services.chassis.rpc import times

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

SKU_CHARS_MAX = 64


def tenant(tenant_id: str) -> str:
    """The tenant; set by the gateway, so an empty one is the caller's fault."""
    return slug("tenant_id", tenant_id)


def slug(field: str, value: str) -> str:
    """An id of the form [a-z0-9-]{1,40}."""
    return fields.slug(value, field)


def text(field: str, value: str, chars_max: int) -> str:
    """A text of 1 to so many characters, without control characters."""
    if not value:
        raise FieldRequired(field)
    if len(value) > chars_max or not value.isprintable():
        raise FieldInvalid(field, f"1 to {chars_max} printable characters")
    return value


def sku(field: str, value: str) -> str:
    """A SKU: 1 to 64 printable characters without slash, and no space around it."""
    if not value:
        raise FieldRequired(field)
    if len(value) > SKU_CHARS_MAX or not value.isprintable() or "/" in value or value != value.strip():
        raise FieldInvalid(
            field, f"1 to {SKU_CHARS_MAX} printable characters without / and without space around"
        )
    return value


def uuid(field: str, value: str) -> str:
    """A UUID in its usual form, whatever the case it came in."""
    if not value:
        raise FieldRequired(field)
    try:
        if len(value) != 36:
            raise ValueError(value)
        return str(UUID(value))
    except ValueError:
        raise FieldInvalid(field, "a UUID") from None


def region(field: str, value: str) -> str:
    """An ISO 3166-1 alpha-2 country."""
    if not value:
        raise FieldRequired(field)
    if value not in REGIONS:
        raise RegionUnknown(field)
    return value


def moment(field: str, holder: Any) -> datetime:
    """A required time."""
    if not holder.HasField(field):
        raise FieldRequired(field)
    try:
        return times.from_proto(getattr(holder, field))
    except (ValueError, OverflowError):
        raise FieldInvalid(field, "a time between the years 1 and 9999") from None


def count(field: str, items: int, items_max: int) -> None:
    """Refuses an empty list and one that is too long."""
    if items == 0:
        raise FieldRequired(field)
    if items > items_max:
        raise TooManyItems(field, items_max)


def page(bound_to: bytes, token: str, *kinds: type) -> list[Any] | None:
    """The cursor of a page token, with values of exactly these kinds; None for the first page."""
    cursor = pages.decode(bound_to, token)
    if cursor is not None and [type(value) for value in cursor] != list(kinds):
        raise InvalidArgument("PAGE_TOKEN_INVALID", "the page token is not one of ours", field="page_token")
    return cursor
