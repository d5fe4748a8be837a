"""The rules that single fields obey. Each function takes the value and the path it is reported under."""

import re
from uuid import UUID

from services.chassis.errors import FieldInvalid, FieldRequired

REQUEST_ID_CHARS_MAX = 255

_slug = re.compile(r"[a-z0-9-]{1,40}").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def tenant_id(value: str) -> str:
    """The marketplace's id."""
    return _formed(value, "tenant_id", "1 to 40 of [a-z0-9-]", _slug(value) is not None)


def uuid(value: str) -> UUID | None:
    """An id of ours; None where nothing can have it."""
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def request_id(value: str) -> str:
    """The caller's key of a request."""
    formed = len(value) <= REQUEST_ID_CHARS_MAX and value.isprintable()
    return _formed(value, "request_id", f"1 to {REQUEST_ID_CHARS_MAX} printable characters", formed)


def line(value: str, field: str, *, chars_max: int) -> str:
    """A text of one line, for people; it may be empty."""
    if len(value) > chars_max or _control(value) is not None:
        raise FieldInvalid(field, f"at most {chars_max} characters without control characters")
    return value


def _formed(value: str, field: str, rule: str, formed: bool) -> str:
    if not value:
        raise FieldRequired(field)
    if not formed:
        raise FieldInvalid(field, rule)
    return value
