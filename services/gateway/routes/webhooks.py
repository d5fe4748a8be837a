"""Webhook endpoints and their deliveries, for the administrators of a tenant."""

import msgspec
from google.protobuf.duration_pb2 import Duration
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb

from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.roles import allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.schemas.webhooks import (
    Delivery,
    DeliveryPage,
    IssuedWebhookEndpoint,
    RotateWebhookSecret,
    WebhookEndpoint,
    WebhookEndpointPage,
)
from services.gateway.translate.webhooks import (
    DELIVERY_STATE,
    delivery_item_of,
    delivery_of,
    endpoint_of,
    issued_of,
)

TAG = "webhooks"
ENDPOINTS = "/v1/webhook-endpoints"
ENDPOINT = f"{ENDPOINTS}/{{webhook_endpoint_id}}"
DELIVERIES = "/v1/webhook-deliveries"
DELIVERY = f"{DELIVERIES}/{{delivery_id}}"
NOT_FOUND = "WEBHOOK_ENDPOINT_NOT_FOUND"
ONCE = (
    "The secret is in this answer and nowhere else. A repetition with the same Idempotency-Key answers the endpoint "
    "without it (`secret` is null): who missed the first answer rotates."
)
REPLAYED = {"Idempotency-Replayed": "`true` where the key was used before; the secret is not told again."}
_NEVER_STORED = (b"cache-control", b"no-store")


class Webhooks(Resource):
    """Endpoints: create, get, list, update, delete, rotate, enable, disable, test; deliveries: get, list, redeliver."""

    _endpoint_decoder = msgspec.json.Decoder(WebhookEndpoint)
    _rotate_decoder = msgspec.json.Decoder(RotateWebhookSecret)

    async def create(self, call: Call) -> Reply:
        """POST /v1/webhook-endpoints"""
        request_id = call.idempotency_key()
        asked = await self.read(call, self._endpoint_decoder)
        request = endpoint_pb.CreateEndpointRequest(
            tenant_id=call.tenant_id,
            request_id=request_id,
            url=asked.url,
            description=asked.description,
            event_types=asked.event_types,
        )
        made = await self.clients.call(self.clients.webhook_endpoints.CreateEndpoint, request)
        reply = _issued(made, status=201)
        reply.headers.append((b"location", f"{ENDPOINTS}/{made.endpoint.endpoint_id}".encode()))
        return reply

    async def page(self, call: Call) -> Reply:
        """GET /v1/webhook-endpoints"""
        request = endpoint_pb.ListEndpointsRequest(
            tenant_id=call.tenant_id, page_size=call.query["page_size"], page_token=call.query["page_token"]
        )
        page = await self.clients.call(self.clients.webhook_endpoints.ListEndpoints, request)
        return document(
            WebhookEndpointPage([endpoint_of(one) for one in page.endpoints], page.next_page_token)
        )

    async def get(self, call: Call) -> Reply:
        """GET /v1/webhook-endpoints/{webhook_endpoint_id}"""
        request = endpoint_pb.GetEndpointRequest(**_named(call))
        return document(
            endpoint_of(await self.clients.call(self.clients.webhook_endpoints.GetEndpoint, request))
        )

    async def update(self, call: Call) -> Reply:
        """PUT /v1/webhook-endpoints/{webhook_endpoint_id}"""
        asked = await self.read(call, self._endpoint_decoder)
        request = endpoint_pb.UpdateEndpointRequest(
            **_named(call), url=asked.url, description=asked.description, event_types=asked.event_types
        )
        return document(
            endpoint_of(await self.clients.call(self.clients.webhook_endpoints.UpdateEndpoint, request))
        )

    async def delete(self, call: Call) -> Reply:
        """DELETE /v1/webhook-endpoints/{webhook_endpoint_id}"""
        request = endpoint_pb.DeleteEndpointRequest(**_named(call))
        return document(
            endpoint_of(await self.clients.call(self.clients.webhook_endpoints.DeleteEndpoint, request))
        )

    async def rotate(self, call: Call) -> Reply:
        """POST /v1/webhook-endpoints/{webhook_endpoint_id}:rotateSecret"""
        request_id = call.idempotency_key()
        asked = await self.read_optional(call, self._rotate_decoder, RotateWebhookSecret())
        period_s = asked.grace_period_s
        request = endpoint_pb.RotateSecretRequest(
            tenant_id=call.tenant_id,
            endpoint_id=call.path["webhook_endpoint_id"],
            request_id=request_id,
            grace_period=None if period_s is None else Duration(seconds=period_s),
        )
        made = await self.clients.call(self.clients.webhook_endpoints.RotateSecret, request)
        return _issued(made, status=200)

    async def enable(self, call: Call) -> Reply:
        """POST /v1/webhook-endpoints/{webhook_endpoint_id}:enable"""
        request = endpoint_pb.EnableEndpointRequest(**_named(call))
        return document(
            endpoint_of(await self.clients.call(self.clients.webhook_endpoints.EnableEndpoint, request))
        )

    async def disable(self, call: Call) -> Reply:
        """POST /v1/webhook-endpoints/{webhook_endpoint_id}:disable"""
        request = endpoint_pb.DisableEndpointRequest(**_named(call))
        return document(
            endpoint_of(await self.clients.call(self.clients.webhook_endpoints.DisableEndpoint, request))
        )

    async def test(self, call: Call) -> Reply:
        """POST /v1/webhook-endpoints/{webhook_endpoint_id}:test"""
        request = delivery_pb.SendTestEventRequest(**_named(call))
        made = await self.clients.call(self.clients.webhook_deliveries.SendTestEvent, request)
        return document(delivery_of(made), status=201)

    async def deliveries(self, call: Call) -> Reply:
        """GET /v1/webhook-deliveries"""
        request = delivery_pb.ListDeliveriesRequest(
            tenant_id=call.tenant_id,
            endpoint_id=call.query["webhook_endpoint_id"],
            state=call.query["state"],
            page_size=call.query["page_size"],
            page_token=call.query["page_token"],
        )
        page = await self.clients.call(self.clients.webhook_deliveries.ListDeliveries, request)
        return document(
            DeliveryPage([delivery_item_of(one) for one in page.deliveries], page.next_page_token)
        )

    async def delivery(self, call: Call) -> Reply:
        """GET /v1/webhook-deliveries/{delivery_id}"""
        request = delivery_pb.GetDeliveryRequest(
            tenant_id=call.tenant_id, delivery_id=call.path["delivery_id"]
        )
        return document(
            delivery_of(await self.clients.call(self.clients.webhook_deliveries.GetDelivery, request))
        )

    async def redeliver(self, call: Call) -> Reply:
        """POST /v1/webhook-deliveries/{delivery_id}:redeliver"""
        request = delivery_pb.RedeliverRequest(tenant_id=call.tenant_id, delivery_id=call.path["delivery_id"])
        return document(
            delivery_of(await self.clients.call(self.clients.webhook_deliveries.Redeliver, request))
        )

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (*self._of_endpoints(), *self._of_states(), *self._of_deliveries())

    def _of_endpoints(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                ENDPOINTS,
                self.create,
                allow(),
                TAG,
                "Create an endpoint",
                ONCE,
                body=WebhookEndpoint,
                body_example=examples.WEBHOOK_ENDPOINT,
                status=201,
                answer=IssuedWebhookEndpoint,
                answer_headers={"Location": "The endpoint's path.", **REPLAYED},
                idempotency_key="required",
                reasons=("URL_REFUSED", "EVENT_TYPE_UNKNOWN", "ENDPOINTS_AT_MAX", "REQUEST_ID_REUSED"),
            ),
            Route(
                "GET",
                ENDPOINTS,
                self.page,
                allow("reader"),
                TAG,
                "List endpoints, never their secrets",
                query=params.paging(200, 50),
                answer=WebhookEndpointPage,
                reasons=("PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "GET",
                ENDPOINT,
                self.get,
                allow("reader"),
                TAG,
                "Get an endpoint, without its secrets",
                answer=WebhookEndpoint,
                answer_example=examples.WEBHOOK_ENDPOINT_PAUSED,
                reasons=(NOT_FOUND,),
            ),
            Route(
                "PUT",
                ENDPOINT,
                self.update,
                allow(),
                TAG,
                "Replace an endpoint's url, description and event_types",
                "What waits for it goes to the new address. What the server sets is ignored.",
                body=WebhookEndpoint,
                body_example=examples.WEBHOOK_ENDPOINT,
                answer=WebhookEndpoint,
                reasons=(NOT_FOUND, "URL_REFUSED", "EVENT_TYPE_UNKNOWN"),
            ),
            Route(
                "DELETE",
                ENDPOINT,
                self.delete,
                allow(),
                TAG,
                "Delete an endpoint",
                "For good: what waits for it is not sent. Answers the endpoint as it was.",
                answer=WebhookEndpoint,
                reasons=(NOT_FOUND,),
            ),
        )

    def _of_states(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                f"{ENDPOINT}:rotateSecret",
                self.rotate,
                allow(),
                TAG,
                "Give an endpoint another secret",
                "Until the grace period is over everything is signed with both; a third ends the oldest at once. "
                f"{ONCE}",
                body=RotateWebhookSecret,
                body_required=False,
                body_example={"grace_period_s": 86_400},
                answer=IssuedWebhookEndpoint,
                answer_headers=REPLAYED,
                idempotency_key="required",
                reasons=(NOT_FOUND, "REQUEST_ID_REUSED"),
                name="rotateWebhookSecret",
            ),
            Route(
                "POST",
                f"{ENDPOINT}:enable",
                self.enable,
                allow(),
                TAG,
                "Send to an endpoint again",
                "What waited when it was disabled is sent too. One that is enabled stays as it is.",
                answer=WebhookEndpoint,
                reasons=(NOT_FOUND,),
            ),
            Route(
                "POST",
                f"{ENDPOINT}:disable",
                self.disable,
                allow(),
                TAG,
                "Send nothing more to an endpoint",
                "What happens until it is enabled again is not kept for it. One that is disabled stays as it is.",
                answer=WebhookEndpoint,
                reasons=(NOT_FOUND,),
            ),
            Route(
                "POST",
                f"{ENDPOINT}:test",
                self.test,
                allow(),
                TAG,
                "Send a test to an endpoint",
                "A delivery of the type `webhook.test`, whatever types the endpoint wants.",
                status=201,
                answer=Delivery,
                reasons=(NOT_FOUND, "ENDPOINT_DISABLED"),
            ),
        )

    def _of_deliveries(self) -> tuple[Route, ...]:
        return (
            Route(
                "GET",
                DELIVERIES,
                self.deliveries,
                allow("reader"),
                TAG,
                "List an endpoint's deliveries, the newest first",
                query=(
                    params.uuid("webhook_endpoint_id", "Whose deliveries.", required=True),
                    params.word("state", "Only those that stand there.", DELIVERY_STATE.number_of),
                    *params.paging(200, 50),
                ),
                answer=DeliveryPage,
                answer_example=examples.DELIVERIES,
                reasons=(NOT_FOUND, "PAGE_TOKEN_INVALID", "PAGE_TOKEN_MISMATCH"),
            ),
            Route(
                "GET",
                DELIVERY,
                self.delivery,
                allow("reader"),
                TAG,
                "Get a delivery with its body",
                name="getWebhookDelivery",
                answer=Delivery,
                reasons=("DELIVERY_NOT_FOUND",),
            ),
            Route(
                "POST",
                f"{DELIVERY}:redeliver",
                self.redeliver,
                allow(),
                TAG,
                "Send a delivery again",
                "With the same `webhook-id`, whatever came of it before; where it fails it is retried as at first.",
                name="redeliverWebhookDelivery",
                answer=Delivery,
                reasons=("DELIVERY_NOT_FOUND", "ENDPOINT_DISABLED"),
            ),
        )


def _named(call: Call) -> dict[str, str]:
    """The fields that name the endpoint in every request."""
    return {"tenant_id": call.tenant_id, "endpoint_id": call.path["webhook_endpoint_id"]}


def _issued(made: endpoint_pb.IssuedEndpoint, *, status: int) -> Reply:
    reply = document(issued_of(made), status=status)
    reply.headers.append(_NEVER_STORED)
    if made.replayed:
        reply.headers.append((b"idempotency-replayed", b"true"))
    return reply
