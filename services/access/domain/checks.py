"""The rules that single fields obey. Each function takes the value and the path it is reported under."""

import re
from collections.abc import Sequence
from uuid import UUID

from services.chassis.errors import FieldInvalid, FieldRequired, TooManyItems

REQUEST_ID_CHARS_MAX = 255
ACTOR_CHARS_MAX = 100
SCOPE_IDS_MAX = 50

_slug = re.compile(r"[a-z0-9-]{1,40}").fullmatch
_secret_id = re.compile(r"[a-z0-9]{10}").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def tenant_id(value: str) -> str:
    """The marketplace's id."""
    return _formed(value, "tenant_id", "1 to 40 of [a-z0-9-]", _slug(value) is not None)


def can_be_tenant_id(value: str) -> bool:
    """Whether a tenant could have this id at all; where not, there is no need to look."""
    return _slug(value) is not None


def can_be_secret_id(value: str) -> bool:
    """Whether a secret could have this id at all."""
    return _secret_id(value) is not None


def api_key_id(value: str) -> UUID | None:
    """The id of a key; None where no key can have it."""
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def request_id(value: str) -> str:
    """The caller's key of a request."""
    formed = len(value) <= REQUEST_ID_CHARS_MAX and value.isprintable()
    return _formed(value, "request_id", f"1 to {REQUEST_ID_CHARS_MAX} printable characters", formed)


def actor(value: str) -> str:
    """Who asks."""
    formed = len(value) <= ACTOR_CHARS_MAX and value.isprintable()
    return _formed(value, "actor", f"1 to {ACTOR_CHARS_MAX} printable characters", formed)


def line(value: str, field: str, *, chars_max: int) -> str:
    """A text of one line, for people."""
    formed = len(value) <= chars_max and _control(value) is None and not value.isspace()
    return _formed(value, field, f"1 to {chars_max} characters without control characters", formed)


def scope(values: Sequence[str], field: str) -> tuple[str, ...]:
    """Ids of merchants or warehouses, in their order; none stands for all."""
    if len(values) > SCOPE_IDS_MAX:
        raise TooManyItems(field, SCOPE_IDS_MAX)
    for index, value in enumerate(values):
        if _slug(value) is None:
            raise FieldInvalid(f"{field}[{index}]", "1 to 40 of [a-z0-9-]")
    if len(set(values)) != len(values):
        raise FieldInvalid(field, "ids that are each stated once")
    return tuple(sorted(values))


def _formed(value: str, field: str, rule: str, formed: bool) -> str:
    if not value:
        raise FieldRequired(field)
    if not formed:
        raise FieldInvalid(field, rule)
    return value
