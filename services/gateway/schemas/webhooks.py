"""Webhook endpoints and deliveries."""

from typing import Annotated, Literal

from msgspec import Meta, field

from services.gateway.schemas.base import OUTPUT_ONLY, Document, Moment, NextPageToken, Version
from services.gateway.schemas.catalog import SetByServer

EndpointStateWord = Literal["enabled", "disabled"]
DisableReasonWord = Literal["none", "requested", "gone", "failing"]
DeliveryStateWord = Literal["pending", "delivered", "failed"]
DAYS_30_S = 30 * 86_400
EVENT_TYPES_MAX = 50


class WebhookSecret(Document, kw_only=True):
    """A secret of an endpoint, without its text."""

    secret_id: Annotated[str, Meta(description="UUID.")]
    create_time: SetByServer = None
    expire_time: Annotated[Moment | None, Meta(description="When a grace period ends it.")] = None


class WebhookEndpoint(Document, kw_only=True):
    """Where a tenant is told of events."""

    # No `format`: a generator would make addresses of others of it, and events would be sent there.
    url: Annotated[
        str,
        Meta(
            max_length=4_096,
            description="https, at a public address, without a user and without a fragment; 2,048 characters at most.",
            examples=["https://hooks.example.com/sampan"],
        ),
    ]
    description: Annotated[str, Meta(max_length=1_000, description="At most 200 characters, for people.")] = (
        ""
    )
    event_types: Annotated[
        list[Annotated[str, Meta(max_length=256, examples=["order.placed"])]],
        Meta(
            max_length=EVENT_TYPES_MAX,
            description="The only types that are sent, each once; empty: all, those of later releases too.",
        ),
    ] = field(default_factory=list)
    webhook_endpoint_id: Annotated[str, Meta(description="UUID.", extra_json_schema=OUTPUT_ONLY)] = ""
    state: Annotated[EndpointStateWord, Meta(extra_json_schema=OUTPUT_ONLY)] = "enabled"
    disable_reason: Annotated[
        DisableReasonWord,
        Meta(
            description="`gone`: it answered 410; `failing`: for days no attempt has succeeded.",
            extra_json_schema=OUTPUT_ONLY,
        ),
    ] = "none"
    failing_since_time: Annotated[
        Moment | None,
        Meta(
            description="Since when every attempt has failed; null: the last has not.",
            extra_json_schema=OUTPUT_ONLY,
        ),
    ] = None
    paused_until_time: Annotated[
        Moment | None,
        Meta(
            description="Nothing is sent before, as its last answer asked by `Retry-After`; null: it did not, or the "
            "endpoint was changed since.",
            extra_json_schema=OUTPUT_ONLY,
        ),
    ] = None
    secrets: Annotated[
        list[WebhookSecret],
        Meta(description="Those that sign, the newest first.", extra_json_schema=OUTPUT_ONLY),
    ] = field(default_factory=list)
    version: Version = 0
    create_time: SetByServer = None
    update_time: SetByServer = None


class IssuedWebhookEndpoint(Document, kw_only=True):
    """An endpoint, and the text of the secret that was made for it just now."""

    webhook_endpoint: WebhookEndpoint
    secret: Annotated[
        str | None,
        Meta(
            description="Shown here and never again; null in the answer to a repetition.",
            examples=["whsec_" + "x" * 43 + "="],
        ),
    ]


class WebhookEndpointPage(Document):
    """A page of endpoints, in the order of their making."""

    webhook_endpoints: list[WebhookEndpoint]
    next_page_token: NextPageToken


class RotateWebhookSecret(Document, kw_only=True):
    """How another secret shall come in."""

    grace_period_s: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=DAYS_30_S,
                description="Seconds for which the secret before goes on signing beside the new one; absent: a day.",
            ),
        ]
        | None
    ) = None


class DeliveryItem(Document, kw_only=True):
    """A message to an endpoint, without its body."""

    delivery_id: Annotated[str, Meta(description="UUID.")]
    webhook_endpoint_id: Annotated[str, Meta(description="Whom it is for.")]
    message_id: Annotated[
        str,
        Meta(
            description="The header `webhook-id`: the same at every attempt.",
            examples=["msg_019ab3c05e1f7c3e8f650d6c2f3f5b11"],
        ),
    ]
    event_type: Annotated[str, Meta(examples=["parcel.shipped"])]
    event_time: Moment | None
    state: DeliveryStateWord
    attempts: Annotated[int, Meta(description="Attempts made.")]
    last_status: Annotated[int | None, Meta(description="The last answer's HTTP status; null: none came.")]
    last_failure: Annotated[
        str | None,
        Meta(
            description="Why the last attempt failed: `status`, `timeout`, `connection`, `tls`, `name`, "
            "`address_refused`, `malformed`, or by a fault of ours `secret`."
        ),
    ]
    last_attempt_time: Moment | None
    next_attempt_time: Annotated[Moment | None, Meta(description="null: there is none to come.")]
    create_time: Moment | None


class Delivery(DeliveryItem, kw_only=True):
    """A message to an endpoint."""

    body: Annotated[
        str, Meta(description="What is sent: JSON, as text, since its signature is over these bytes.")
    ]


class DeliveryPage(Document):
    """A page of deliveries, the newest first."""

    deliveries: list[DeliveryItem]
    next_page_token: NextPageToken
