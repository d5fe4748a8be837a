"""Where payment providers notify. What they sign is passed on as it came: orders alone has their secrets, verifies and
reads it (docs/decisions/0068-orders-verifies-notifications.md).
"""

from sampan.orders.v1 import payment_service_pb2 as pb

from services.gateway.call import Call, Reply
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem, at_header
from services.gateway.refusals import busy
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource
from services.gateway.routes.route import Route
from services.gateway.schemas.payments import PaymentNotification

NOTIFICATION_BYTES_MAX = 65_536
WEBHOOK_ID_CHARS_MAX = 255
AT_ONCE_MAX = 32
"""Notifications at orders at once: nobody knows yet who has sent them, so they must not take its room from orders."""


class Payments(Resource):
    """One route."""

    def __init__(self, clients: Clients, settings: GatewaySettings) -> None:
        super().__init__(clients, settings)
        self._at_orders = 0

    async def notify(self, call: Call) -> Reply:
        """POST /v1/payments/notifications/{provider}"""
        webhook_id, timestamp, signature = (
            _required(call, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        )
        if len(webhook_id) > WEBHOOK_ID_CHARS_MAX:
            raise at_header("HEADER_INVALID", "webhook-id", f"at most {WEBHOOK_ID_CHARS_MAX} characters")
        if call.media_type() != b"application/json":
            raise Problem("MEDIA_TYPE_UNSUPPORTED", "the body must be application/json")
        body = await call.body(bytes_max=NOTIFICATION_BYTES_MAX)
        if not body:
            raise Problem("BODY_REQUIRED", "the route needs a JSON body")
        request = pb.NotifyPaymentRequest(
            provider=call.path["provider"],
            webhook_id=webhook_id,
            webhook_timestamp=timestamp,
            webhook_signature=signature,
            body=body,
        )
        if self._at_orders >= AT_ONCE_MAX:
            raise busy()
        self._at_orders += 1
        try:
            await self.clients.call(self.clients.payments.NotifyPayment, request)
        finally:
            self._at_orders -= 1
        return Reply(204)

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "POST",
                "/v1/payments/notifications/{provider}",
                self.notify,
                None,
                "payments",
                "Tell what became of a payment",
                "For payment providers: no API key, but a signature by the Standard Webhooks specification over the "
                "bytes of the body. Success says that the effect is stored; a repetition with the same `webhook-id` "
                "has no second one. Whatever is not answered by success is to be repeated, each time signed anew.",
                name="notifyPayment",
                is_signed=True,
                body=PaymentNotification,
                body_example=examples.PAYMENT_NOTIFICATION,
                status=204,
                reasons=(
                    "HEADER_INVALID",
                    "HEADERS_TOO_LARGE",
                    "NOTIFICATION_MALFORMED",
                    "SIGNATURE_INVALID",
                    "SIGNATURE_TIME_WRONG",
                    "PAYMENT_PROVIDER_NOT_FOUND",
                    "PAYMENT_NOT_FOUND",
                    "PAYMENT_STATE_WRONG",
                    "NOTIFICATION_ID_REUSED",
                ),
            ),
        )


def _required(call: Call, name: str) -> str:
    value = call.header(name.encode())
    if not value:
        raise at_header("FIELD_REQUIRED", name, "the header is required")
    return value
