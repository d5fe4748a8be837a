"""What documents of all services share."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, field

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
OUTPUT_ONLY = {"readOnly": True}

Version = Annotated[
    int, Meta(ge=0, le=INT64_MAX, description="Counts the changes from 1.", extra_json_schema=OUTPUT_ONLY)
]
Etag = Annotated[str, Meta(description="To be sent back as If-Match.", extra_json_schema=OUTPUT_ONLY)]
Region = Annotated[str, Meta(description="ISO 3166-1 alpha-2.", examples=["ES"], max_length=64)]
Currency = Annotated[str, Meta(description="ISO 4217.", examples=["EUR"], max_length=64)]
Text = Annotated[str, Meta(max_length=20_000)]
Units = Annotated[int, Meta(ge=-INT64_MAX, le=INT64_MAX)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000, description="1 to 1,000,000.")]
# msgspec leaves the format out where a time may lack its offset; ours never do on the way out.
Moment = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
NextPageToken = Annotated[str, Meta(description="Empty on the last page.")]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object whose fields are all known."""


class Money(Document):
    """An amount, exact in the minor unit of its currency."""

    currency_code: Currency
    amount: Annotated[
        str,
        Meta(
            max_length=64,
            description="A plain decimal number, as `12.50` EUR or `500` JPY.",
            examples=["12.50"],
        ),
    ]


class FaultyValue(msgspec.Struct, omit_defaults=True):
    """A value of the request that is at fault: exactly one of pointer, parameter and header is given."""

    reason: str
    detail: str
    pointer: Annotated[
        str, Meta(description="JSON pointer into the body (RFC 6901).", examples=["/lines/0/quantity"])
    ] = ""
    parameter: Annotated[str, Meta(description="Name of a query parameter.")] = ""
    header: Annotated[str, Meta(description="Name of a header.")] = ""


class ProblemDocument(msgspec.Struct, omit_defaults=True, rename={"kind": "type"}):
    """A refusal (RFC 9457)."""

    kind: Annotated[
        str,
        Meta(
            description="A relative URI that names the kind of problem.", examples=["/problems/sku-unknown"]
        ),
    ]
    title: str
    status: int
    detail: str
    reason: Annotated[str, Meta(description="The kind as a word for machines.", examples=["SKU_UNKNOWN"])]
    trace_id: Annotated[str, Meta(description="Finds the request in the logs.")]
    errors: list[FaultyValue] = field(default_factory=list)
    metadata: Annotated[
        dict[str, str], Meta(description="Details of this reason, as the SKU that is unknown.")
    ] = field(default_factory=dict)
