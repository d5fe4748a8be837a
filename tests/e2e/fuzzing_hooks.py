"""What schemathesis does not know by itself: how the lines of an import are sent, and that `fields` thins answers."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_lines(context: Any, value: Any) -> bytes:
    """Text as it is, anything else as a line of JSON."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


@schemathesis.hook
def before_call(_context: Any, case: Any, **_options: Any) -> None:
    """Leaves `fields` out: an answer with some of its fields is by intent not what its schema requires."""
    if case.query:
        case.query = {name: value for name, value in case.query.items() if name != "fields"}
