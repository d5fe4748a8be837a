"""The rules that single fields obey. Each function takes the value and the path it is reported under."""

from services.chassis import fields
from services.chassis.errors import FieldInvalid


def tenant_id(value: str) -> str:
    """The marketplace's id."""
    return fields.slug(value, "tenant_id")


def line(value: str, field: str, *, chars_max: int) -> str:
    """A text of one line, for people; it may be empty."""
    if len(value) > chars_max or fields.has_control(value):
        raise FieldInvalid(field, f"at most {chars_max} characters without control characters")
    return value
