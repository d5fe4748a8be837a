"""Opaque page tokens (AIP-158), bound to the filter that they page through.

    bound_to = pages.filter_hash(tenant_id, "orders.list", request.buyer_id, request.state)
    after = pages.decode(bound_to, request.page_token)       # None on the first page
    next_page_token = pages.encode(bound_to, [row["create_time"], row["order_id"]]) if more else ""

A token holds a position, not a right: put the tenant into the hash and into the query.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import blake2b

from services.chassis.errors import InvalidArgument

Cursor = Sequence[str | int]

TOKEN_CHARS_MAX = 1024
_HASH_BYTES = 8
_INT64_MAX = 2**63 - 1


def filter_hash(*parts: object) -> bytes:
    """Eight bytes that stand for everything that chooses and orders the rows, except the page size."""
    return blake2b(json.dumps(parts, default=str).encode(), digest_size=_HASH_BYTES).digest()


def page_size(requested: int, *, default: int, maximum: int) -> int:
    """The size to use: the default for 0, coerced to the maximum above it; negative is refused."""
    if requested < 0:
        raise InvalidArgument("FIELD_INVALID", "page_size must not be negative", field="page_size")
    return min(requested or default, maximum)


def encode(bound_to: bytes, cursor: Cursor) -> str:
    """A token that resumes after `cursor`: the values that the rows are ordered by, of the last row sent."""
    payload = bound_to + json.dumps(list(cursor), separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode(bound_to: bytes, token: str) -> list[str | int] | None:
    """The cursor in a token, or None for the empty token of a first page.

    Raises InvalidArgument: PAGE_TOKEN_INVALID for what we never issued, PAGE_TOKEN_MISMATCH for a token of
    another filter.
    """
    if not token:
        return None
    invalid = InvalidArgument("PAGE_TOKEN_INVALID", "the page token is not one of ours", field="page_token")
    if len(token) > TOKEN_CHARS_MAX:
        raise invalid
    try:
        payload = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        cursor = json.loads(payload[_HASH_BYTES:].decode())
    except (binascii.Error, ValueError, RecursionError):
        raise invalid from None
    if not isinstance(cursor, list) or not all(map(_is_storable, cursor)):
        raise invalid
    if payload[:_HASH_BYTES] != bound_to:
        raise InvalidArgument(
            "PAGE_TOKEN_MISMATCH", "the page token belongs to another filter", field="page_token"
        )
    return cursor


def _is_storable(value: object) -> bool:
    """Only what PostgreSQL takes as a parameter, so that a forged token is refused here and not there."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    return type(value) is int and -_INT64_MAX <= value <= _INT64_MAX
