"""What a payment provider says, in our own words. The gateway passes it on unread."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from services.gateway.schemas.base import Document


class PaymentNotification(Document):
    """What became of a payment. Providers with words of their own send those instead."""

    payment_id: Annotated[UUID, Meta(description="The payment that the provider was asked for.")]
    outcome: Annotated[
        Literal["authorised", "declined", "captured", "capture_declined", "refunded"],
        Meta(
            description="`authorised`: the amount is guaranteed; `declined`: it is not; `captured`: it is collected; "
            "`capture_declined`: it was guaranteed and never will be; `refunded`: it is given back or released."
        ),
    ]
    decline_code: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.-]{0,64}$",
            description="Where it was refused, why: the provider's stable word.",
            examples=["insufficient_funds"],
        ),
    ] = ""
