"""What a query parameter or an id in a path may be: how it is read and how OpenAPI describes it, in one value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec

from services.gateway.errors import at_parameter

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PRODUCT_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
SLUG = re.compile(r"[a-z0-9-]{1,40}")
SKU_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Param:
    """One query parameter."""

    name: str
    description: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]
    default: Any = None
    required: bool = False
    example: object = None


def _refuse(name: str, detail: str) -> NoReturn:
    raise at_parameter("FIELD_INVALID", name, detail)


def text(
    name: str, description: str, *, chars_max: int, required: bool = False, example: object = None
) -> Param:
    """A text that a service compares with; empty means that it was not given."""

    def read(value: str) -> str:
        if len(value) > chars_max:
            _refuse(name, f"at most {chars_max} characters")
        if required and not value:
            raise at_parameter("FIELD_REQUIRED", name, "the parameter is required")
        return value

    schema = {"type": "string", "maxLength": chars_max}
    return Param(name, description, schema, read, default="", required=required, example=example)


def integer(name: str, description: str, *, least: int, most: int) -> Param:
    """A whole number."""

    def read(value: str) -> int:
        digits = value.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            _refuse(name, "not a whole number")
        number = int(value)
        if not least <= number <= most:
            _refuse(name, f"not between {least} and {most}")
        return number

    return Param(name, description, {"type": "integer", "minimum": least, "maximum": most}, read, default=0)


def word(name: str, description: str, numbers: Mapping[str, int]) -> Param:
    """One of an enum's words; read as the enum's number, 0 where absent."""

    def read(value: str) -> int:
        if value not in numbers:
            _refuse(name, f"not one of {', '.join(numbers)}")
        return numbers[value]

    return Param(name, description, {"type": "string", "enum": list(numbers)}, read, default=0)


def moment(name: str, description: str) -> Param:
    """A time as RFC 3339."""

    def read(value: str) -> datetime:
        try:
            # A plus sign in a query stands for a space; an offset is the only place where one can be meant.
            found = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
            if found.tzinfo is None:
                _refuse(name, "the time has no offset; end it with Z")
            return found.astimezone(UTC)
        except (ValueError, OverflowError):
            _refuse(name, "not a time such as 2026-03-01T09:30:00Z")

    schema = {"type": "string", "format": "date-time"}
    return Param(name, description, schema, read, example="2026-03-01T09:30:00Z")


def several(
    name: str, description: str, *, items_max: int, chars_max: int, required: bool, example: object = None
) -> Param:
    """Values separated by commas, each at most once in its place and none empty."""

    def read(value: str) -> list[str]:
        items = value.split(",") if value else []
        if required and not items:
            raise at_parameter("FIELD_REQUIRED", name, "the parameter is required")
        if len(items) > items_max:
            raise at_parameter("TOO_MANY_ITEMS", name, f"at most {items_max}")
        if any(not 0 < len(item) <= chars_max for item in items):
            _refuse(name, f"each has 1 to {chars_max} characters")
        return items

    schema = {"type": "string", "description": f"1 to {items_max} values separated by commas"}
    return Param(name, description, schema, read, required=required, example=example)


FIELDS = "fields"


def fields(document: type[msgspec.Struct], noun: str) -> Param:
    """The fields that an answer is to have, by name; None where all are wanted."""
    known = msgspec.structs.fields(document)
    names = tuple(field.encode_name for field in known)

    def read(value: str) -> tuple[str, ...] | None:
        wanted = tuple(dict.fromkeys(value.split(","))) if value else None
        for name in wanted or ():
            if name not in names:
                _refuse(FIELDS, f"a {noun} has no field {name[:100]!r}")
        return wanted

    schema = {"type": "string", "maxLength": len(",".join(names)), "examples": [",".join(names[:2])]}
    return Param(
        FIELDS,
        f"Only these fields of each {noun}, separated by commas: {', '.join(names)}. The answer then lacks fields that "
        "its schema requires: read it as plain JSON.",
        schema,
        read,
    )


def uuid(name: str, description: str, *, required: bool = False) -> Param:
    """A UUID; empty where absent."""

    def read(value: str) -> str:
        if not is_uuid(value):
            _refuse(name, "not a UUID")
        return value.lower()

    schema = {"type": "string", "format": "uuid"}
    return Param(name, description, schema, read, default="", required=required)


def paging(size_max: int, size_default: int) -> tuple[Param, Param]:
    """page_size and page_token, as every list has them."""
    return (
        integer(
            "page_size",
            f"Items on a page; {size_default} where absent or 0, coerced to {size_max} above it.",
            least=0,
            most=1_000_000,
        ),
        text("page_token", "`next_page_token` of the page before, with the same filter.", chars_max=1024),
    )


def is_uuid(value: str) -> bool:
    """Whether a text is a UUID in its canonical form."""
    return UUID_TEXT.fullmatch(value.lower()) is not None


def is_region(value: str) -> bool:
    """Whether a text has the form of an ISO 3166-1 alpha-2 code."""
    return len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()


PATH_IDS: Mapping[str, tuple[Callable[[str], bool], str, Mapping[str, Any]]] = {
    "order_id": (is_uuid, "ORDER_NOT_FOUND", {"type": "string", "format": "uuid"}),
    "parcel_id": (is_uuid, "PARCEL_NOT_FOUND", {"type": "string", "format": "uuid"}),
    "product_id": (
        lambda value: PRODUCT_ID.fullmatch(value) is not None,
        "PRODUCT_NOT_FOUND",
        {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,64}$"},
    ),
    "merchant_id": (
        lambda value: SLUG.fullmatch(value) is not None,
        "MERCHANT_NOT_FOUND",
        {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"},
    ),
    "warehouse_id": (
        lambda value: SLUG.fullmatch(value) is not None,
        "WAREHOUSE_NOT_FOUND",
        {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"},
    ),
    "tenant_id": (
        lambda value: SLUG.fullmatch(value) is not None,
        "TENANT_NOT_FOUND",
        {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"},
    ),
    "api_key_id": (is_uuid, "API_KEY_NOT_FOUND", {"type": "string", "format": "uuid"}),
    "webhook_endpoint_id": (is_uuid, "WEBHOOK_ENDPOINT_NOT_FOUND", {"type": "string", "format": "uuid"}),
    "delivery_id": (is_uuid, "DELIVERY_NOT_FOUND", {"type": "string", "format": "uuid"}),
    "provider": (
        lambda value: SLUG.fullmatch(value) is not None,
        "PAYMENT_PROVIDER_NOT_FOUND",
        {"type": "string", "pattern": "^[a-z0-9-]{1,40}$", "examples": ["sandbox"]},
    ),
    "problem": (lambda value: SLUG.fullmatch(value) is not None, "ROUTE_NOT_FOUND", {"type": "string"}),
    "asset": (lambda value: len(value) < 80, "ROUTE_NOT_FOUND", {"type": "string"}),
}
"""Ids in paths: whether a text can be one, and the reason of the 404 where it cannot, since then nothing has it."""
