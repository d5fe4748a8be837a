"""The rules of values that several services take. A check gets the value and the path it is reported under, returns the
value, and raises FieldRequired or FieldInvalid.
"""

import re
from uuid import UUID

from services.chassis.errors import FieldInvalid, FieldRequired

REQUEST_ID_CHARS_MAX = 255
SLUG_RULE = "1 to 40 of [a-z0-9-]"

_slug = re.compile(r"[a-z0-9-]{1,40}").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def formed(value: str, field: str, rule: str, is_formed: bool) -> str:
    """A text that must not be empty, and must be what `rule` says."""
    if not value:
        raise FieldRequired(field)
    if not is_formed:
        raise FieldInvalid(field, rule)
    return value


def is_slug(value: str) -> bool:
    """Whether a text can be an id that people choose: see SLUG_RULE."""
    return _slug(value) is not None


def slug(value: str, field: str) -> str:
    """An id that people choose."""
    return formed(value, field, SLUG_RULE, is_slug(value))


def request_id(value: str) -> str:
    """The caller's key of a request."""
    fits = len(value) <= REQUEST_ID_CHARS_MAX and value.isprintable()
    return formed(value, "request_id", f"1 to {REQUEST_ID_CHARS_MAX} printable characters", fits)


def uuid(value: str) -> UUID | None:
    """An id of ours, as we write it; None where nothing can have it."""
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def has_control(line: str) -> bool:
    """Whether there is anything in a text that has no place in one line, or that no database can store."""
    return _control(line) is not None
