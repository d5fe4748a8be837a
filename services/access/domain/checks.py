"""The rules that single fields obey. Each function takes the value and the path it is reported under."""

import re
from collections.abc import Sequence

from services.chassis import fields
from services.chassis.errors import FieldInvalid, TooManyItems

ACTOR_CHARS_MAX = 100
SCOPE_IDS_MAX = 50

_secret_id = re.compile(r"[a-z0-9]{10}").fullmatch


def tenant_id(value: str) -> str:
    """The marketplace's id."""
    return fields.slug(value, "tenant_id")


def can_be_tenant_id(value: str) -> bool:
    """Whether a tenant could have this id at all; where not, there is no need to look."""
    return fields.is_slug(value)


def can_be_secret_id(value: str) -> bool:
    """Whether a secret could have this id at all."""
    return _secret_id(value) is not None


def actor(value: str) -> str:
    """Who asks."""
    formed = len(value) <= ACTOR_CHARS_MAX and value.isprintable()
    return fields.formed(value, "actor", f"1 to {ACTOR_CHARS_MAX} printable characters", formed)


def line(value: str, field: str, *, chars_max: int) -> str:
    """A text of one line, for people."""
    formed = len(value) <= chars_max and not fields.has_control(value) and not value.isspace()
    return fields.formed(value, field, f"1 to {chars_max} characters without control characters", formed)


def scope(values: Sequence[str], field: str) -> tuple[str, ...]:
    """Ids of merchants or warehouses, in their order; none stands for all."""
    if len(values) > SCOPE_IDS_MAX:
        raise TooManyItems(field, SCOPE_IDS_MAX)
    for index, value in enumerate(values):
        if not fields.is_slug(value):
            raise FieldInvalid(f"{field}[{index}]", fields.SLUG_RULE)
    if len(set(values)) != len(values):
        raise FieldInvalid(field, "ids that are each stated once")
    return tuple(sorted(values))
