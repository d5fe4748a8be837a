"""Webhook endpoints and deliveries between the contracts and the public documents."""

from typing import Any

from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb

from services.gateway.schemas.webhooks import (
    Delivery,
    DeliveryItem,
    IssuedWebhookEndpoint,
    WebhookEndpoint,
    WebhookSecret,
)
from services.gateway.translate.values import Words, time_of

ENDPOINT_STATE = Words(endpoint_pb.EndpointState, "ENDPOINT_STATE_")
DISABLE_REASON = Words(endpoint_pb.DisableReason, "DISABLE_REASON_", unspecified="none")
DELIVERY_STATE = Words(delivery_pb.DeliveryState, "DELIVERY_STATE_")


def endpoint_of(message: endpoint_pb.Endpoint) -> WebhookEndpoint:
    """An endpoint's document."""
    return WebhookEndpoint(
        webhook_endpoint_id=message.endpoint_id,
        url=message.url,
        description=message.description,
        event_types=list(message.event_types),
        state=ENDPOINT_STATE.word(message.state),
        disable_reason=DISABLE_REASON.word(message.disable_reason),
        failing_since_time=time_of(message, "failing_since_time"),
        paused_until_time=time_of(message, "paused_until_time"),
        secrets=[
            WebhookSecret(
                secret_id=secret.secret_id,
                create_time=time_of(secret, "create_time"),
                expire_time=time_of(secret, "expire_time"),
            )
            for secret in message.secrets
        ],
        version=message.version,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def issued_of(message: endpoint_pb.IssuedEndpoint) -> IssuedWebhookEndpoint:
    """The document of an endpoint with its new secret."""
    return IssuedWebhookEndpoint(
        webhook_endpoint=endpoint_of(message.endpoint), secret=message.secret or None
    )


def delivery_item_of(message: delivery_pb.Delivery) -> DeliveryItem:
    """A delivery's document in a list."""
    return DeliveryItem(**_fields(message))


def delivery_of(message: delivery_pb.Delivery) -> Delivery:
    """A delivery's document."""
    return Delivery(**_fields(message), body=message.body)


def _fields(message: delivery_pb.Delivery) -> dict[str, Any]:
    return {
        "delivery_id": message.delivery_id,
        "webhook_endpoint_id": message.endpoint_id,
        "message_id": message.message_id,
        "event_type": message.event_type,
        "event_time": time_of(message, "event_time"),
        "state": DELIVERY_STATE.word(message.state),
        "attempts": message.attempts,
        "last_status": message.last_status or None,
        "last_failure": message.last_failure.lower() or None,
        "last_attempt_time": time_of(message, "last_attempt_time"),
        "next_attempt_time": time_of(message, "next_attempt_time"),
        "create_time": time_of(message, "create_time"),
    }
