"""What is sent: the types of events, and a message in the form of the Standard Webhooks specification.

A body holds what a topic holds, and no more: ids, states, and of a placed order its SKUs, quantities and destination
country. No names, no addresses: who needs them asks the API, with a key that may.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from services.chassis import clock

TEST = "webhook.test"
EVENT_TYPES: Mapping[str, str] = {
    "order.placed": "An order was accepted; the warehouse has not decided yet.",
    "order.reserved": "Every line of an order is held in stock.",
    "order.awaiting_payment": "Stock is held and the buyer is to pay.",
    "order.confirmed": "An order is paid for; parcels are opened.",
    "order.rejected": "An order could not be reserved. Final.",
    "order.expired": "An order was not paid in time. Final.",
    "order.cancelling": "A confirmed order is to be intercepted.",
    "order.cancelled": "An order is cancelled. Final.",
    "order.progressed": "An order moved on otherwise: `state` says where it stands, `cause` why.",
    "parcel.allocated": "A parcel was opened.",
    "parcel.packed": "A parcel was packed.",
    "parcel.shipped": "A parcel was handed to the carrier.",
    "parcel.delivered": "A parcel has arrived.",
    "product.changed": "A product was created or changed; read it by its id.",
}
"""Every type that an endpoint can ask for, with its meaning. `webhook.test` is sent on demand only."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something to be told to a tenant. `message_id` is the same however often and to whom it is sent."""

    tenant_id: str
    message_id: str
    event_type: str
    event_time: datetime
    body: str


def message(
    tenant_id: str, event_id: UUID, event_type: str, event_time: datetime, data: Mapping[str, object]
) -> Message:
    """The message of an event, whose id becomes its own."""
    body = {"type": event_type, "timestamp": clock.rfc3339(event_time), "data": data}
    return Message(
        tenant_id, f"msg_{event_id.hex}", event_type, event_time, msgspec.json.encode(body).decode()
    )
